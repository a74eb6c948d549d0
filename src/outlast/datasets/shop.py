"""Users and their orders: the sample data of the cluster manager with balancers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from outlast.datasets.base import RowBatch, batch
from outlast.errors import ConfigError

_USERS: Final = (
    (1, "alice", "alice@example.com"),
    (2, "bob", "bob@example.com"),
    (3, "charlie", "charlie@example.com"),
)
_ORDERS: Final = (
    (1, 1, "Laptop", 1, "999.99"),
    (2, 2, "Mouse", 2, "29.98"),
    (3, 3, "Keyboard", 1, "79.99"),
)


class ShopDataset:
    """Three users with an order each."""

    name = "shop"
    tables: tuple[str, ...] = ("users", "orders")
    schema: tuple[str, ...] = (
        "CREATE TABLE users (id serial PRIMARY KEY, username varchar(50) NOT NULL UNIQUE, "
        "email varchar(100) NOT NULL UNIQUE, created_at timestamptz NOT NULL DEFAULT now())",
        "CREATE TABLE orders (id serial PRIMARY KEY, user_id integer NOT NULL, product varchar(100) NOT NULL, "
        "quantity integer NOT NULL DEFAULT 1 CHECK (quantity > 0), price numeric(10, 2) NOT NULL, "
        "ordered_at timestamptz NOT NULL DEFAULT now())",
    )
    constraints: tuple[str, ...] = (
        "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users (id)",
        "CREATE INDEX orders_user_id ON orders (user_id)",
        "CREATE INDEX orders_ordered_at ON orders (ordered_at)",
        # The rows brought their numbers with them; the next ones come from the sequences.
        "SELECT setval('users_id_seq', greatest((SELECT max(id) FROM users), 1), EXISTS (SELECT FROM users))",
        "SELECT setval('orders_id_seq', greatest((SELECT max(id) FROM orders), 1), "
        "EXISTS (SELECT FROM orders))",
    )

    def sample(self) -> Iterator[RowBatch]:
        """Yield the three users and their orders."""
        yield batch("users", ("id", "username", "email"), _USERS)
        yield batch("orders", ("id", "user_id", "product", "quantity", "price"), _ORDERS)

    def generated(self, rows: int, seed: int) -> Iterator[RowBatch]:
        """Refuse: it is a handful of rows to look at."""
        raise ConfigError(
            "the dataset shop makes no further rows", key="dataset_rows", hint="dataset=healthcare does"
        )
