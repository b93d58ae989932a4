"""A table service for the app: Azurite behind a proxy that counts requests and injects faults."""

from local.tables.proxy import Operation, TableProxy, is_transaction, table_proxy

__all__ = ["Operation", "TableProxy", "is_transaction", "table_proxy"]
