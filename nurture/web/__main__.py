"""How are the public pages started by themselves? `python -m nurture.web`."""

from nurture.settings import Settings
from nurture.web.server import serve

if __name__ == "__main__":
    serve(Settings())
