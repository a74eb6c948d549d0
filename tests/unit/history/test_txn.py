"""Transactions are read from payloads into columns, whatever their keys and values are."""

from __future__ import annotations

import pytest

from outlast.errors import HistoryError
from outlast.history.op import NONE
from outlast.history.sketch import sketch
from outlast.history.txn import transactions


def test_micro_operations_become_columns() -> None:
    ops = sketch('0 does txn [["append","x",7],["r","y",[1,2]],["r","x",null]]\n1 does txn [["r","x",[7]]]')
    txns = transactions(ops, lists=True)
    assert txns.mop_start.tolist() == [0, 3, 4]
    assert txns.is_write.tolist() == [True, False, False, False]
    assert [txns.key_name(key) for key in txns.key.tolist()] == ["x", "y", "x", "x"]
    assert [txns.list_of(mop).tolist() for mop in range(4)] == [[], [1, 2], [], [7]]
    assert txns.value.tolist() == [7, NONE, NONE, NONE]


def test_a_read_that_was_not_answered_is_not_a_read_of_nil() -> None:
    txns = transactions(sketch('0 maybe txn [["r",1,null]]\n1 does txn [["r",1,null]]'), lists=True)
    assert txns.known.tolist() == [False, True]


def test_values_that_are_no_integers_are_coded_from_the_first_one_on() -> None:
    txns = transactions(sketch('0 does txn [["append",1,5],["append",1,"a"],["r",1,[5,"a"]]]'), lists=True)
    assert txns.list_of(2).tolist() == txns.value[:2].tolist()
    assert [txns.value_name(value) for value in txns.value[:2].tolist()] == ["5", "a"]


@pytest.mark.parametrize("payload", ['[["append",1]]', '[["delete",1,2]]', '[["r",1,"abc"]]', "7", '"x"'])
def test_what_is_no_transaction_is_refused_by_op(payload: str) -> None:
    with pytest.raises(HistoryError, match="op 1 is no transaction"):
        transactions(sketch(f"0 does txn []\n1 does txn {payload}".replace("txn 7", "txn [7]")), lists=True)
