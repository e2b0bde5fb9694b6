"""The inputs of the evaluation that its parameters name: checkpoints and loss curves, an entry of the catalog each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from crqat_pipeline.recipes.form_spec import GROUPS, LAYERS, is_path

FORM, HISTORY, HISTORY_ENTRY = "form_", "history_", "_history"
LAYERS_OF, GROUPS_OF = "layers_", "groups_"
Value = TypeVar("Value")


def named_forms(evaluation: Any) -> dict[str, Mapping[str, Any]]:
    """The forms that the parameter `evaluation` describes well enough to say what they read; its spec says the rest."""
    forms = evaluation.get("forms") if isinstance(evaluation, Mapping) else None
    entries = forms.items() if isinstance(forms, Mapping) else ()
    return {
        str(name): form
        for name, form in entries
        if isinstance(form, Mapping) and isinstance(form.get("checkpoint"), str)
    }


def entry_of(name: str, form: Mapping[str, Any]) -> str:
    """The catalog entry of a form's checkpoint; a path gets an entry of its own."""
    checkpoint = str(form["checkpoint"])
    return f"{name}_form_file" if is_path(checkpoint) else checkpoint


def form_inputs(forms: Mapping[str, Mapping[str, Any]], role: str | None = None) -> dict[str, str]:
    """Keyword of a node -> entry, for the forms with this role; for all without one."""
    return {
        f"{FORM}{name}": entry_of(name, form)
        for name, form in forms.items()
        if role is None or role in (form.get("roles") or ())
    }


def history_inputs(forms: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Keyword of a node -> entry of a history; each once."""
    entries: dict[str, str] = {}
    for form in forms.values():
        history = form.get("history") or ()
        names: Iterable[Any] = (history,) if isinstance(history, str) else history
        entries |= {f"{HISTORY}{str(name).removesuffix(HISTORY_ENTRY)}": str(name) for name in names}
    return entries


def diagnostics_inputs(forms: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Keyword of a node -> entries with the diagnostics of a form: its quantizers, and groups of them."""
    entries: dict[str, str] = {}
    for name, form in forms.items():
        layers = form.get("layers")
        if isinstance(layers, str):
            entries |= {f"{LAYERS_OF}{name}": layers, f"{GROUPS_OF}{name}": layers.removesuffix(LAYERS) + GROUPS}
    return entries


def without_prefix(inputs: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """What a node received under the keywords of this prefix, by their own names."""
    return {name.removeprefix(prefix): value for name, value in inputs.items() if name.startswith(prefix)}
