"""A table service as the app meets it: Azurite behind a proxy that counts requests and fails on purpose."""

from local.tables.proxy import Operation, TableProxy, is_transaction, table_proxy

__all__ = ["Operation", "TableProxy", "is_transaction", "table_proxy"]
