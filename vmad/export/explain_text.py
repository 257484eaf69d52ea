# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One process for a person: how near, how fast, made of what, why, what to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from vmad.advice.select import RAISE_LIMIT
from vmad.export.advice_text import advice_lines, few_lines
from vmad.export.cause_text import cause_lines
from vmad.export.other_limits_text import not_this_limit, other_limits_lines
from vmad.export.printable import printable, shortened
from vmad.export.quantities import count, counted, duration, percent
from vmad.export.style import Style
from vmad.export.text_table import aligned
from vmad.model.identity import ProcessIdentity
from vmad.model.kinds import KIND_TEXT, Kind
from vmad.model.verdict import Verdict
from vmad.scan.explain import Explanation, main_causes
from vmad.scan.growth import Growth, Watched
from vmad.scan.headroom import thresholds
from vmad.scan.host_limits import HostLimits, advice_on_limit, is_far
from vmad.scan.page_sample import PageSample

#: from so many VMAs, or from this share of the limit, causes come with advice unasked
ADVICE_FROM_VMAS, ADVICE_FROM_RATIO = 1000, 0.1
#: how the errors read in a log
ERRORS_READ = (
    'ENOMEM reads "Cannot allocate memory", EAGAIN "Resource temporarily unavailable", which is',
    "often taken for ulimit -u when a thread cannot be made.",
)
#: kinds of failed calls that are named
FAILURES_SHOWN = 4
#: names of files shown below the composition, none with less than a hundredth of the VMAs
NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Context:
    """What is known beside the address space itself.

    ``samples`` are pages of pairs by decisive stock reason, where they were read; ``advise``
    asks for advice however far the limit is.
    """

    growth: Growth | None = None
    watched: Watched | None = None
    samples: Mapping[str, PageSample] = field(default_factory=dict)
    identity: ProcessIdentity | None = None
    advise: bool = False
    limits: HostLimits = field(default_factory=HostLimits)


def explain_text(explanation: Explanation, style: Style, context: Context) -> list[str]:
    """Lines for a person."""
    near = _how_near(explanation, style, context)
    lines = [
        near[0],
        *_who(context.identity),
        *_failed(context),
        *_how_fast(explanation, context),
        *near[1:],
        "",
    ]
    if _far(explanation, context):
        lines += other_limits_lines(context.limits.others, style)
    lines += [*_composition(explanation, style), ""]
    causes = main_causes(explanation.causes)
    if causes:
        total = len(explanation.table.rows)
        share = sum(cause.vmas for cause in causes) / total
        heading = "one cause makes" if len(causes) == 1 else f"{len(causes)} causes make"
        lines.append(style.bold(f"Why: {heading} up {percent(share)} of the VMAs"))
        advise = context.advise or _worth_advice(explanation)
        for number, cause in enumerate(causes, 1):
            sample = context.samples.get(cause.reason) if cause.reason is not None else None
            lines += cause_lines(number, cause, explanation, style, sample)
        if not advise:
            lines += few_lines(explanation, style)
        lines.append("")
        if advise:
            lines += [*advice_lines(explanation, style, everything=context.advise), ""]
    lines += [*_recoverable(explanation, style), "", *_limit(explanation, style, context)]
    return style.fitted(lines + _evidence(explanation))


def _worth_advice(explanation: Explanation) -> bool:
    near = explanation.ratio is not None and explanation.ratio >= ADVICE_FROM_RATIO
    return near or len(explanation.table.rows) >= ADVICE_FROM_VMAS


def _far(explanation: Explanation, context: Context) -> bool:
    mark = None if context.watched is None else context.watched.high_water
    return is_far(explanation.ratio, explanation.max_map_count, context.limits, mark)


def _how_near(explanation: Explanation, style: Style, context: Context) -> list[str]:
    table, limit = explanation.table, explanation.max_map_count
    name = style.bold(f"{printable(table.comm)} (pid {table.id.pid})")
    number = table.map_count
    if number is None or limit is None:
        return [f"{name} has {count(number if number is not None else len(table.rows))} VMAs."]
    near = f"{count(number)} of {count(limit)} VMAs ({percent(explanation.ratio)})"
    first = f"{name} has {style.alarm(near, explanation.ratio)}, {_spare(limit - number)}"
    if _far(explanation, context):
        return [f"{first}: {not_this_limit(context.limits.others)}."]
    lines, rows = [f"{first}."], []
    for step in thresholds(explanation.kernel, limit):
        left = step.fails_from - number
        away = "fails now" if left <= 0 else f"{count(left)} away"
        rows.append((f"{step.operation}:", step.error, f"from {count(step.fails_from)}", away))
    return [*lines, "What fails first:", *aligned(rows, "llrr", "  "), *ERRORS_READ]


def _who(identity: ProcessIdentity | None) -> list[str]:
    if identity is None:
        return []
    parts = [f"runs {identity.exe}"] if identity.exe else []
    group = identity.cgroup
    if group is not None:
        named = (("unit", group.unit), ("container", group.container), ("pod", group.pod))
        belongs = [f"{what} {name}" for what, name in named if name]
        if not belongs and group.path != "/":
            belongs = [f"control group {group.path}"]
        parts += [f"belongs to {', '.join(belongs)}"] if belongs else []
    return [f"It {' and '.join(map(printable, parts))}."] if parts else []


def _failed(context: Context) -> list[str]:
    failures = context.limits.failures
    if failures is None:
        return []
    if not failures:
        since = context.limits.watched_since
        if since is None:
            return []
        when = f"{datetime.fromtimestamp(since):%Y-%m-%d %H:%M:%S}"
        return [
            f"None of its calls has failed at the limit since {when}; before that nobody watched."
        ]
    text = ", ".join(
        f"{failure.call} {failure.error} {counted(failure.count, 'time')}"
        for failure in failures[:FAILURES_SHOWN]
    )
    last = datetime.fromtimestamp(max(failure.last for failure in failures))
    return [f"It has failed at the limit: {text}; last at {last:%Y-%m-%d %H:%M:%S}."]


def _spare(spare: int) -> str:
    return f"{count(spare)} to spare" if spare > 0 else "nothing to spare"


def _how_fast(explanation: Explanation, context: Context) -> list[str]:
    limit = explanation.max_map_count
    lines = []
    if context.growth is not None:
        growth = context.growth
        left = growth.seconds_to(limit) if limit is not None else None
        lines.append(f"It {_moves(growth.rate)} over {duration(growth.seconds)}{_at_limit(left)}.")
    if context.watched is not None:
        watched = context.watched
        text = f"A daemon watches it: it had {count(watched.high_water)} VMAs at most"
        if watched.rate is not None:
            text += f" and {_moves(watched.rate)} over the last minutes"
            text += _at_limit(watched.seconds_to_limit)
        lines.append(f"{text}.")
    return lines


def _moves(rate: float) -> str:
    if rate == 0:
        return "neither grew nor shrank"
    return f"{'grew' if rate > 0 else 'shrank'} by {abs(rate):,.3g} VMAs/s"


def _at_limit(seconds: float | None) -> str:
    if seconds == 0:
        return ": it is at the limit"
    return "" if seconds is None else f": at the limit in {duration(seconds)}"


def _composition(explanation: Explanation, style: Style) -> list[str]:
    total = sum(explanation.kinds)
    if not total:
        return ["It has no VMA: it is exiting."]
    kinds = sorted(Kind, key=lambda kind: -explanation.kinds[kind])
    rows = [
        (KIND_TEXT[kind], count(explanation.kinds[kind]), percent(explanation.kinds[kind] / total))
        for kind in kinds
        if explanation.kinds[kind]
    ]
    lines = [style.bold("What they are"), *aligned(rows, "lrr", "  ")]
    names = [name for name in explanation.names if name.vmas > 1 and name.vmas * 100 >= total]
    if names:
        lines.append("  Mapped most often:")
        width = style.columns - 14
        mapped = [
            (count(name.vmas), shortened(printable(name.name), width))
            for name in names[:NAMES_SHOWN]
        ]
        lines += aligned(mapped, "rl", "    ")
    return lines


def _recoverable(explanation: Explanation, style: Style) -> list[str]:
    pairs, pid = explanation.pairs, explanation.table.id.pid
    latent = sum(
        number
        for number, case in zip(pairs.counts(), pairs.cases, strict=True)
        if case.stock.verdict is Verdict.MERGEABLE
    )
    stock, relaxed = explanation.recoverable["stock"], explanation.recoverable["relaxed"]
    lines = [style.bold("What would vanish if everything merged that may")]
    rows = []
    text = "the evidence leaves pairs undecided"
    if stock is not None:
        text = "nothing: no pair is mergeable"
        if latent:
            text = (
                f"{counted(latent, 'pair is', 'pairs are')} latent: the kernel merges them at "
                f"its next attempt; `vmad heal {pid}` makes it try"
            )
    rows.append(("stock kernel", count(stock), text))
    text = "the evidence leaves pairs undecided"
    if relaxed is not None:
        text = "the same as on the stock kernel"
        if stock is not None and relaxed > stock:
            text = f"{count(relaxed - stock)} more: page offset or anon_vma no longer stop them"
    rows.append(("patched kernel", count(relaxed), text))
    rebuild = explanation.recoverable["rebuild"]
    if rebuild:
        text = f"joined on this kernel, no page copied: vmad heal {pid} --rebuild"
        rows.append(("a rebuild", count(rebuild), text))
    return lines + aligned(rows, "lrl", "  ")


def _limit(explanation: Explanation, style: Style, context: Context) -> list[str]:
    limit, ratio = explanation.max_map_count, explanation.ratio
    mark = None if context.watched is None else context.watched.high_water
    advice = advice_on_limit(explanation.map_count, limit, explanation.kernel, context.limits, mark)
    if advice is None or ratio is None or limit is None:
        return []
    if _far(explanation, context):
        return _origin(explanation, context, style)
    source = style.wrapped(f"[{RAISE_LIMIT.source}]", "  ")
    text = style.wrapped(advice.text, "  ")
    origin = _origin(explanation, context, style, "  ")
    return [style.bold("The limit"), *origin, *text, *map(style.dim, source), ""]


def _origin(
    explanation: Explanation, context: Context, style: Style, indent: str = ""
) -> list[str]:
    if context.limits.origin is None:
        return []
    text = printable(context.limits.origin.text)
    return style.wrapped(f"vm.max_map_count is {count(explanation.max_map_count)}: {text}.", indent)


def _evidence(explanation: Explanation) -> list[str]:
    table, pairs = explanation.table, explanation.pairs
    release = printable(explanation.kernel.release)
    judged = explanation.judged_as
    by = "" if judged == explanation.kernel else f", judged by the rules of {judged.release}"
    lines = [f"Evidence {table.evidence.text}. Kernel {release}{by}."]
    unknown = sum(
        number
        for number, case in zip(pairs.counts(), pairs.cases, strict=True)
        if case.stock.verdict is Verdict.UNKNOWN
    )
    text = f"{counted(len(pairs), 'pair')} of neighbours that are private and anonymous"
    text += f", {count(unknown)} of them undecided" if unknown else ""
    lines.append(f"{text}. --pairs lists them, --format json gives every one.")
    if not table.consistent:
        lines.append("The address space changed while it was read: figures may be off by a few.")
    return lines
