"""What the rules of a spec make of each layer: the spec as it holds for that layer alone."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from pydantic import ValidationError
from torch import nn

from crqat_pipeline.quantization.full_precision import kept_patterns, matches, reason_to_keep
from crqat_pipeline.quantization.parts import part_of
from crqat_pipeline.quantization.spec import QuantSpec
from crqat_pipeline.quantization.width_rules import GROUPS, Width, WidthRule
from crqat_pipeline.runtime.validation_text import faults_text
from crqat_pipeline.structures.quantization_contract import contract_of, product_operands_of


def layer_specs(
    detector: nn.Module, spec: QuantSpec, candidates: Mapping[str, nn.Module]
) -> dict[str, QuantSpec | str]:
    """For each layer or product: its own spec, or why it stays in full precision.

    Rules are read in order, and what a later one sets wins. A layer that stays in full precision (edge layers, and the
    patterns of keep_full_precision) is widened by the rule `edges` or by its own full name alone, so that
    a rule for a part does not reach it by accident. Products answer to their kind or their own name.

    Raises ValueError for a rule that matches nothing, with the nearest names, and for widths that integer arithmetic
    cannot execute together.
    """
    kinds = {name: _kind(module) for name, module in candidates.items()}
    _check_rules(detector, spec.widths, kinds)
    kept = kept_patterns(detector, spec)
    specs: dict[str, QuantSpec | str] = {}
    for name, kind in kinds.items():
        reason = reason_to_keep(detector, spec.keep_edge_layers, kept, name)
        rules = [rule for rule in spec.widths if _selects(detector, rule, name, kind)]
        if reason is not None:
            is_edge = name in contract_of(detector).edge_layers
            rules = [rule for rule in rules if rule.layers == name or (rule.layers == "edges" and is_edge)]
        if reason is not None and (not rules or part_of(detector, name) is None):
            specs[name] = reason
        else:
            specs[name] = _own_spec(spec, rules, name, kind, starts_full=reason is not None)
    return specs


def _own_spec(
    spec: QuantSpec, rules: Sequence[WidthRule], name: str, kind: str | None, starts_full: bool
) -> QuantSpec | str:
    changed: dict[str, int | None] = {}
    if starts_full:
        changed = {"weight_bits": None, "activation_bits": None, "pre_activation_bits": None}
    for rule in rules:
        changed |= _set_by(rule, name, kind)
    if not changed:
        return spec
    fields = spec.model_dump(exclude={"widths"}) | changed
    if fields["weight_bits"] is None and fields["activation_bits"] is None and kind is None:
        return f"rule {rules[-1]}"
    try:
        return QuantSpec.model_validate(fields)
    except ValidationError as error:
        raise ValueError(f"The widths of {name!r} (rule {rules[-1]}): {faults_text(error)}.") from error


def _set_by(rule: WidthRule, name: str, kind: str | None) -> dict[str, int | None]:
    if kind is None:
        widths = {"weight": rule.weight, "activation": rule.activation, "pre_activation": rule.pre_activation}
        changed = {f"{what}_bits": _bits(width) for what, width in widths.items() if width is not None}
        if rule.weight == rule.activation == "none":
            changed["pre_activation_bits"] = None
        return changed
    if rule.activation is None:
        raise ValueError(
            f"A product has operands and no weights: a rule for {name!r} sets activation; got {rule}. Write "
            f"{{{rule.layers}: 8}}."
        )
    return {f"{kind}_bits": _bits(rule.activation)}


def _bits(width: Width) -> int | None:
    return None if width == "none" else int(width)


def _selects(detector: nn.Module, rule: WidthRule, name: str, kind: str | None) -> bool:
    if kind is not None:
        return rule.layers == kind or fnmatchcase(name, rule.layers)
    if rule.layers in GROUPS:
        return rule.layers == "edges" and name in contract_of(detector).edge_layers
    if rule.layers in contract_of(detector).parts:
        return part_of(detector, name) == rule.layers
    return matches(name, rule.layers)


def _check_rules(detector: nn.Module, rules: Sequence[WidthRule], kinds: Mapping[str, str | None]) -> None:
    for rule in rules:
        if any(_selects(detector, rule, name, kind) for name, kind in kinds.items()):
            continue
        known = [*GROUPS, *contract_of(detector).parts, *kinds]
        near = difflib.get_close_matches(rule.layers, known, n=3, cutoff=0.3)
        raise ValueError(
            f"A rule of quantization.widths must match a layer; got {rule.layers!r}, which matches none. Near: "
            f"{', '.join(near) or 'none'}. Groups: {', '.join(GROUPS)}; parts: "
            f"{', '.join(contract_of(detector).parts)}; patterns use *, ? and [] on full names such as "
            f"{next(iter(kinds))!r}."
        )


def _kind(module: nn.Module) -> str | None:
    """Of a product; None for a layer."""
    operands = product_operands_of(module)
    return None if operands is None else operands.kind
