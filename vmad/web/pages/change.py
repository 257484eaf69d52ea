# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What to change in one process, what would vanish, which limit to set: with exact commands."""

from __future__ import annotations

from vmad.advice.select import Chosen
from vmad.export.quantities import count, counted
from vmad.model.verdict import Verdict
from vmad.scan.explain import Explanation
from vmad.scan.host_limits import advice_on_limit
from vmad.web.pages.markup import Column, Html, Table, join, name, number, section, text
from vmad.web.pages.process_view import ProcessView


def change_section(view: ProcessView) -> Html:
    """Advice with its sources, and the limit."""
    explanation = view.explanation
    listed = join(_advice(chosen) for chosen in explanation.selection.best)
    body = Html(f'<ol class="advice">{listed}</ol>') if listed else Html("<p>Nothing.</p>")
    programs = ", ".join(str(program) for program in explanation.programs)
    said = f"Recognised: {programs}." if programs else "No program was recognised."
    if explanation.like is not None:
        said += f" In the atlas it is like {explanation.like}."
    body = Html(f"{body}<p>{text(said)}</p>")
    return section("What to change", "What is right for this pattern first.", body, _limit(view))


def _advice(chosen: Chosen) -> Html:
    advice = chosen.advice
    whom = advice.whom if advice.programs else advice.whose.value
    proof = str(advice.proof)
    detail = f"{proof[0].upper()}{proof[1:]}. Costs: {advice.cost} Check: {advice.check}"
    return Html(
        f"<li><b>{text(whom)}</b>: {_with_code(advice.text)} {_with_code(detail)}"
        f"<small>{text(advice.source)}</small></li>"
    )


def _with_code(sentence: str) -> Html:
    """Advice names commands between backquotes."""
    pieces = sentence.split("`")
    return join(
        Html(f"<code>{text(piece)}</code>") if place % 2 else text(piece)
        for place, piece in enumerate(pieces)
    )


def _limit(view: ProcessView) -> Html:
    explanation = view.explanation
    limit = explanation.max_map_count
    origin = view.limits.origin
    advice = advice_on_limit(
        explanation.map_count, limit, explanation.kernel, view.limits, view.high_water
    )
    if limit is None:
        return Html("")
    from_where = f": {name(origin.text)}" if origin is not None else ""
    parts = [f"<h3>The limit</h3><p>vm.max_map_count is {number(limit)}{from_where}.</p>"]
    if advice is not None and not view.far:
        parts.append(f"<p>{text(advice.text)}</p>")
        if advice.raise_it:
            parts.append(f"<p><code>sysctl -w vm.max_map_count={advice.value}</code></p>")
    return Html("".join(parts))


_VANISH = Table(
    "What would vanish",
    (Column("Where"), Column("VMAs", "number"), Column("How")),
)


def vanish_section(explanation: Explanation) -> Html:
    """What would vanish if everything merged that may, and the command that makes it so."""
    pid = explanation.table.id.pid
    stock, relaxed = explanation.recoverable["stock"], explanation.recoverable["relaxed"]
    rebuild = explanation.recoverable["rebuild"]
    latent = sum(
        number
        for number, case in zip(explanation.pairs.counts(), explanation.pairs.cases, strict=True)
        if case.stock.verdict is Verdict.MERGEABLE
    )
    undecided = Html("the evidence leaves pairs undecided")
    how = Html("no pair is mergeable") if stock is not None else undecided
    if stock is not None and latent:
        pairs = counted(latent, "pair is", "pairs are")
        how = Html(f"{pairs} latent: <code>vmad heal {pid}</code> makes the kernel try")
    rows = [(Html("by merging, on this kernel"), number(stock), how)]
    if rebuild:
        how = Html(f"no page is copied: <code>vmad heal {pid} --rebuild</code>")
        rows.append((Html("by a rebuild, on this kernel"), number(rebuild), how))
    how = undecided
    if relaxed is not None and stock is not None:
        how = Html(f"{count(relaxed - stock)} more than on a stock kernel")
    rows.append((Html("on the patched kernel"), number(relaxed), how))
    note = "VMAs that would be gone if everything merged that may."
    return section("What would vanish", note, _VANISH.html(rows))
