"""Which things can happen, and what do providers call them? Closed sets; translation as data."""

from __future__ import annotations

from enum import StrEnum


class EventKind(StrEnum):
    """Facts from outside, in the past tense."""

    PROCESSED = "processed"
    """The provider took the message and queued it."""
    DEFERRED = "deferred"
    """The receiving server refused for now; the provider goes on trying."""
    DELIVERED = "delivered"
    """The receiving server took it."""
    SOFT_BOUNCED = "soft_bounced"
    """Not delivered this time: blocked, full, too many."""
    BOUNCED = "bounced"
    """Never deliverable: no such address."""
    DROPPED = "dropped"
    """The provider did not send it; its reason stands in the attributes."""
    COMPLAINED = "complained"
    """The recipient reported it as spam."""
    UNSUBSCRIBED = "unsubscribed"
    """The recipient used the provider's own unsubscribe link: everything ends."""
    GROUP_UNSUBSCRIBED = "group_unsubscribed"
    """As unsubscribed, for the message's purpose alone."""
    GROUP_RESUBSCRIBED = "group_resubscribed"
    """The provider believes in a new permission; we do not: no double opt-in stands behind it."""
    ACCOUNT_CHANGED = "account_changed"
    """The provider suspended, restricted or restored our account."""
    OPENED = "opened"
    """The pixel was fetched; by whom, the verdict says."""
    CLICKED = "clicked"
    """A link was followed; by whom, the verdict says."""
    REPLIED = "replied"
    """An answer came by mail."""
    PAGE_VISITED = "page_visited"
    """A page of ours was seen."""
    PRICING_VISITED = "pricing_visited"
    """The page with the prices was seen."""
    PAGE_DWELLED = "page_dwelled"
    """A page was read for a while; the seconds stand in the attributes."""
    DOWNLOADED = "downloaded"
    """A paper, case study or book was fetched."""
    SOCIAL_ENGAGED = "social_engaged"
    """Followed, liked or commented on a social network."""
    WEBINAR_ATTENDED = "webinar_attended"
    """Took part in a webinar."""
    TRIAL_STARTED = "trial_started"
    """Began a free trial without us."""
    FORM_SUBMITTED = "form_submitted"
    """Filled in a form that asks for nothing in particular, such as the contact form."""
    DEMO_REQUESTED = "demo_requested"
    """Asked to see the product."""
    OFFER_REQUESTED = "offer_requested"
    """Asked for an offer or cost estimate."""
    PRICE_REQUESTED = "price_requested"
    """Asked what it costs."""
    APPOINTMENT_REQUESTED = "appointment_requested"
    """Asked for a conversation."""
    TRIAL_REQUESTED = "trial_requested"
    """Asked us for a trial."""
    UNKNOWN = "unknown"
    """A name we do not know; kept under `name` in the attributes, without effect."""


class Verdict(StrEnum):
    """Was it a person? A projection that later events and better rules may revise."""

    HUMAN = "human"
    """No sign of a machine."""
    MACHINE = "machine"
    """A scanner, a prefetch, a library."""
    UNCLEAR = "unclear"
    """An image proxy or the like: someone may have looked, nobody can tell when."""


SENDGRID = {
    "processed": EventKind.PROCESSED,
    "deferred": EventKind.DEFERRED,
    "delivered": EventKind.DELIVERED,
    "bounce": EventKind.BOUNCED,  # of type blocked: SOFT_BOUNCED
    "dropped": EventKind.DROPPED,
    "spamreport": EventKind.COMPLAINED,
    "unsubscribe": EventKind.UNSUBSCRIBED,
    "group_unsubscribe": EventKind.GROUP_UNSUBSCRIBED,
    "group_resubscribe": EventKind.GROUP_RESUBSCRIBED,
    "open": EventKind.OPENED,
    "click": EventKind.CLICKED,
    "account_status_change": EventKind.ACCOUNT_CHANGED,
}
"""SendGrid's name -> ours."""

DROP_REASONS = {
    "bounced address": "bounced_address",
    "unsubscribed address": "unsubscribed_address",
    "spam reporting address": "spam_reporting_address",
    "invalid": "invalid_address",
    "invalid smtpapi header": "invalid_header",
    "spam content (if spam checker app enabled)": "spam_content",
    "spam content": "spam_content",
    "recipient list over package quota": "over_quota",
}
"""SendGrid's reason of a drop, in lower case -> ours; any other is `other`: it may quote an address."""

MEASURED = frozenset({EventKind.OPENED, EventKind.CLICKED, EventKind.PAGE_VISITED, EventKind.PRICING_VISITED,
                      EventKind.PAGE_DWELLED})  # fmt: skip
"""What we may keep only with consent to tracking: behaviour that a person did not declare."""

DELIVERY = frozenset({EventKind.PROCESSED, EventKind.DEFERRED, EventKind.DELIVERED, EventKind.SOFT_BOUNCED,
                      EventKind.BOUNCED, EventKind.DROPPED, EventKind.COMPLAINED, EventKind.UNSUBSCRIBED,
                      EventKind.GROUP_UNSUBSCRIBED, EventKind.GROUP_RESUBSCRIBED})  # fmt: skip
"""What the provider reports about a message; always applied."""

FACTS = frozenset({EventKind.PROCESSED, EventKind.DELIVERED, EventKind.SOFT_BOUNCED, EventKind.BOUNCED,
                   EventKind.DROPPED, EventKind.COMPLAINED})  # fmt: skip
"""What becomes a delivery_fact."""

ENDING = frozenset({EventKind.BOUNCED, EventKind.DROPPED, EventKind.COMPLAINED, EventKind.UNSUBSCRIBED,
                    EventKind.GROUP_UNSUBSCRIBED})  # fmt: skip
"""What we act upon by the address alone, where the event names no message of ours."""
