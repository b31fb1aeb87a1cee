"""How are a person's rights served? See, take along, erase, restrict, merge; and forget what is over.

exporting.py gives the record, erasing.py destroys, restricting.py and merging.py change what may be done,
retention.py drops what is older than it may be, processing.py writes the Art. 30 record.
"""

from nurture.leads.rights.erasing import Erased, erase_open, request_erasure
from nurture.leads.rights.exporting import access, encode, pdf
from nurture.leads.rights.group import RightsError
from nurture.leads.rights.requests import Pending
from nurture.leads.rights.restricting import restrict, unrestrict

__all__ = [
    "Erased",
    "Pending",
    "RightsError",
    "access",
    "encode",
    "erase_open",
    "pdf",
    "request_erasure",
    "restrict",
    "unrestrict",
]
