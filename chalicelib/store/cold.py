"""Administration of API keys, by a pynamodb model: seldom used, so it may cost a slow import.

The check of a key stays on the bare client (`keys.find`); nothing here is loaded for it. Requests
go out through `aws.call`, the one door, so they are observed and fail like all others.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from chalicelib.errors import StorageUnavailable
from chalicelib.settings import settings
from chalicelib.store import aws
from chalicelib.store.table import Item

PARTITION = "KEY"


@lru_cache(maxsize=1)
def _model() -> Any:
    """The model of this process's table; pynamodb is imported here and nowhere else."""
    from pynamodb.attributes import BooleanAttribute, ListAttribute, UnicodeAttribute
    from pynamodb.models import Model

    class KeyItem(Model):
        class Meta:
            table_name = settings().table
            region = settings().region

        pk = UnicodeAttribute(hash_key=True, default=PARTITION)
        sk = UnicodeAttribute(range_key=True)
        name = UnicodeAttribute()
        scopes: ListAttribute[Any] = ListAttribute()
        at = UnicodeAttribute()
        revoked = BooleanAttribute(null=True)

    vars(KeyItem._get_connection().connection)["_make_api_call"] = _ask
    return KeyItem


def _ask(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    from botocore import xform_name

    try:
        return aws.call("dynamodb", xform_name(operation), **parameters)
    except aws.AwsRefused as refused:
        if refused.code == "ConditionalCheckFailedException":
            raise
        raise StorageUnavailable(f"dynamodb {operation}: {refused.code}") from refused


def put(hashed: str, name: str, scopes: tuple[str, ...], at: str) -> Item:
    """Keep a key by its hash; one that is there already becomes this one."""
    item = _model()(sk=hashed, name=name, scopes=list(scopes), at=at)
    item.save()
    return _plain(item)


def everyone() -> list[Item]:
    return [_plain(item) for item in _model().query(PARTITION, consistent_read=True)]


def revoke(hashed: str) -> bool:
    """False when there is no such key. A revoked one stays listed."""
    model = _model()
    try:
        model(sk=hashed).update(actions=[model.revoked.set(True)], condition=model.sk.exists())
    except aws.AwsRefused:
        return False
    return True


def _plain(item: Any) -> Item:
    names = ("pk", "sk", "name", "scopes", "at", "revoked")
    return {name: getattr(item, name) for name in names}
