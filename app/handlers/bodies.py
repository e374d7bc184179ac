"""What clients send, and how it is read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

import msgspec

from app.errors import FieldError, InvalidFields, InvalidRequest, UnsupportedMediaType
from app.security import addresses
from app.values import Name, ProfileChange, shown

if TYPE_CHECKING:
    from sanic import Request

Body = TypeVar("Body")

Email = Annotated[str, shown(format="email", maxLength=addresses.LONGEST)]
NewPassword = Annotated[str, shown(**{"$ref": "#/components/schemas/NewPassword"})]
"""How short it may be is a setting, so its schema is written when the documentation is."""

_AT = re.compile(r" - at `\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_TYPE = re.compile(r"\b(bool|bytes|dict|float|int|list|str|struct)\b")
_JSON_WORDS = {
    "bool": "boolean",
    "bytes": "string",
    "dict": "object",
    "float": "number",
    "int": "integer",
    "list": "array",
    "str": "string",
    "struct": "object",
}
_TYPES = re.compile(r"`([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]*)`")


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /auth/register."""

    email: Email
    password: NewPassword
    name: Name | None = None


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /auth/login."""

    email: Email
    password: str


class MailToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /auth/verify-email."""

    token: str


class Mailbox(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /auth/verify-email/resend and /auth/password/forgot."""

    email: Email


class PasswordChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /auth/password."""

    current_password: str
    new_password: NewPassword


class PasswordReset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /auth/password/reset."""

    token: str
    new_password: NewPassword


class Reader(Generic[Body]):
    """Decodes JSON bodies of one type."""

    def __init__(self, kind: type[Body]) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def read(self, request: Request) -> Body:
        """Return the body. Raises UnsupportedMediaType, InvalidRequest (not JSON) or InvalidFields (not this shape)."""
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedMediaType("send Content-Type: application/json")
        try:
            return self._decoder.decode(request.body)
        except msgspec.ValidationError as error:
            raise InvalidFields(_field_error(str(error))) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise InvalidRequest("the body is not JSON in UTF-8") from None


registration = Reader(Registration)
credentials = Reader(Credentials)
profile_change = Reader(ProfileChange)
mail_token = Reader(MailToken)
mailbox = Reader(Mailbox)
password_change = Reader(PasswordChange)
password_reset = Reader(PasswordReset)


def _field_error(message: str) -> FieldError:
    if unknown := _UNKNOWN.search(message):
        return FieldError(unknown[1], "is not a field of this request")
    if missing := _MISSING.search(message):
        return FieldError(missing[1], "is missing")
    at = _AT.search(message)
    detail = _TYPES.sub(lambda types: _in_json_words(types[1]), _AT.sub("", message))
    return FieldError(at[1] if at else "", detail[:1].lower() + detail[1:])


def _in_json_words(types: str) -> str:
    """Return types that are named as Python calls them, as `str | null`, in the words of JSON: "string or null"."""
    return _TYPE.sub(lambda name: _JSON_WORDS.get(name[0], name[0]), types).replace(" | ", " or ")
