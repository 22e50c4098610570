"""The driver: from pictures and options to a painted picture, or from a checkpoint to one.

`stylize` reads top to bottom as the method does: load and plan, verify, paint scale by scale.
Everything it calls has a module of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from impasto.engine.autosave import Autosave
from impasto.engine.backends import open_backend
from impasto.engine.checkpoint import CheckpointStore, Snapshot
from impasto.engine.compilation import Candidate, verified
from impasto.engine.execution import Execution, OpenObjective
from impasto.engine.inputs import Picture, Subject
from impasto.engine.options import Options
from impasto.engine.painting import Painting, Stopwatch
from impasto.engine.parts import Workers
from impasto.engine.plan import Plan
from impasto.engine.preparation import Prepared, prepare
from impasto.engine.progress import Progress, progress_of, snapshot_of
from impasto.engine.result import Callback, StylizeResult
from impasto.engine.resumption import Recorded, check_digests, header_of, recorded_in
from impasto.errors import CheckpointError
from impasto.export.lowerings import LOWERINGS
from impasto.models.weights.cache import cache_directory

__all__ = [
    "Picture",
    "paint",
    "paint_prepared",
    "resume",
    "resume_from",
    "stylize",
    "verified_run",
]


def stylize(
    content: Picture,
    styles: Sequence[Picture],
    options: Options | None = None,
    *,
    callback: Callback | None = None,
    checkpoint: Path | str | None = None,
    workers: Workers | None = None,
) -> StylizeResult:
    """Paint `content` in the style of `styles`.

    Parameters
    ----------
    content : ndarray of shape (H, W, 3), or path
        The photo, uint8 RGB if an array.
    styles : sequence of ndarray or path
        One or more paintings of any sizes. Several make one blended style.
    options : Options, optional
        Defaults to ``Options()``. Its `checkpoint` is the command line's affair: here the
        parameter of that name counts.
    callback : callable, optional
        Given an :class:`~impasto.engine.result.Iterate` after every optimizer step; returning
        ``False`` ends the run with the best picture so far, as does Ctrl-C.
    checkpoint : path, optional
        A directory to save the run's state in, for :func:`resume`: at the start, and then every 5
        seconds, or every iteration if that is longer. It is removed when the run is done, and
        stays when it is cancelled or fails.
    workers : Workers, optional
        Threads that compute the parts of a tiled gradient at the same time. The result does not
        depend on them; the plan counts their memory.

    Returns
    -------
    StylizeResult

    Raises
    ------
    UsageError
        If an input, option, model, backend or checkpoint directory cannot be used, or the memory
        does not suffice; nothing has been computed.
    BackendError
        If a runtime fails.

    Notes
    -----
    Gatys et al. (2015): minimise over the image the weighted sum of a content loss and a style
    loss on features of a fixed network; with the normalisations of jcjohnson/neural-style, whose
    weights therefore carry over.

    Examples
    --------
    >>> import numpy as np
    >>> from impasto import Options, stylize
    >>> grey = np.full((32, 48, 3), 128, np.uint8)
    >>> stylize(grey, [grey], Options(size=48, iterations=1)).image.shape
    (32, 48, 3)
    """
    return paint(
        content,
        styles,
        options or Options(),
        callback=callback,
        checkpoint=checkpoint,
        workers=workers,
    )


def paint(
    subject: Subject,
    styles: Sequence[Picture],
    options: Options,
    *,
    callback: Callback | None,
    checkpoint: Path | str | None,
    workers: Workers | None,
) -> StylizeResult:
    """Paint a picture with or without content: what `stylize` and `texture` have in common.

    Parameters
    ----------
    subject : ndarray of shape (H, W, 3), path, or Canvas
        The content picture, or the canvas of a texture.
    styles, options, callback, checkpoint, workers
        As in :func:`stylize`.
    """
    clock = Stopwatch()
    with clock("load"):
        prepared = prepare(subject, styles, options, workers)
    with CheckpointStore(Path(checkpoint)) if checkpoint else nullcontext() as store:
        result = paint_prepared(
            prepared, clock=clock, callback=callback, store=store, workers=workers
        )
        _finish(store, result)
    return result


def resume(
    directory: Path | str,
    *,
    content: Picture | None = None,
    styles: Sequence[Picture] | None = None,
    callback: Callback | None = None,
    workers: Workers | None = None,
) -> StylizeResult:
    """Go on with a run that was stopped, from its checkpoint directory.

    With ``lbfgs-numpy`` and ``adam`` on ONNX Runtime in float32 on the same machine, the result is
    bit for bit that of the run that was not stopped. SciPy's ``lbfgs`` hides its history: it goes
    on from the last iterate with an empty one.

    Parameters
    ----------
    directory : path
        What was given to :func:`stylize` as `checkpoint`.
    content, styles
        The pictures again, where they were given as arrays; files are found by their paths.
    callback, workers
        As in :func:`stylize`.

    Raises
    ------
    CheckpointError
        If there is no checkpoint, or it is damaged, of another version, in use by another run, or
        of pictures that have changed since.
    """
    with CheckpointStore(Path(directory), create=False) as store:
        result = resume_from(
            store,
            store.load(),
            content=content,
            styles=styles,
            callback=callback,
            workers=workers,
        )
        _finish(store, result)
    return result


def paint_prepared(
    prepared: Prepared,
    *,
    clock: Stopwatch | None = None,
    callback: Callback | None = None,
    store: CheckpointStore | None = None,
    note: Mapping[str, str] | None = None,
    workers: Workers | None = None,
    opening: OpenObjective | None = None,
) -> StylizeResult:
    """Paint what `prepare` returned; the checkpoint stays in `store`, which is the caller's.

    Parameters
    ----------
    prepared : Prepared
    clock : Stopwatch, optional
    callback, workers
        As in :func:`stylize`.
    store : CheckpointStore, optional
    note : mapping of str to str, optional
        Kept in the checkpoint for whoever resumes.
    opening : OpenObjective, optional
        Opens the objective of each scale.
    """
    clock = clock or Stopwatch()
    autosave = Autosave(store)
    # Before anything slow: whatever happens from here on can be resumed.
    header = header_of(prepared, {}, note or {})
    autosave(lambda: snapshot_of(header, Progress()), now=True)
    with clock("compile"):
        prepared, chosen = verified_run(prepared)
    header |= _settled(prepared, chosen)
    painting = Painting(prepared, chosen, header, callback, autosave, clock, workers, opening)
    return painting.run(Progress())


def resume_from(
    store: CheckpointStore,
    snapshot: Snapshot,
    *,
    content: Picture | None = None,
    styles: Sequence[Picture] | None = None,
    callback: Callback | None = None,
    workers: Workers | None = None,
) -> StylizeResult:
    """Go on with a run; see :func:`resume`.

    Parameters
    ----------
    store : CheckpointStore
        Open, and the caller's.
    snapshot : Snapshot
        What it has loaded.
    content, styles, callback, workers
        As in :func:`resume`.
    """
    clock = Stopwatch()
    with clock("load"):
        recorded = recorded_in(snapshot)
        prepared = _prepared_again(recorded, content, styles, workers)
        progress = progress_of(snapshot, [item.size for item in prepared.plan.scales])
    with clock("compile"):
        prepared, chosen = _chosen_again(recorded, prepared)
    header = {key: value for key, value in snapshot.header.items() if key != "progress"}
    header |= _settled(prepared, chosen)
    painting = Painting(prepared, chosen, header, callback, Autosave(store), clock, workers)
    return painting.run(progress, resumed=True)


def _finish(store: CheckpointStore | None, result: StylizeResult) -> None:
    """Remove the checkpoint of a run that is done."""
    if store is not None and result.status.name != "CANCELLED":
        store.finish()


def verified_run(prepared: Prepared) -> tuple[Prepared, Candidate]:
    """Return what computes the gradient right in the forms the plan asks for, and the plan for it.

    Another backend than the one that was planned for takes other memory, so it is planned anew.
    """
    while True:
        options, request = prepared.options, prepared.request
        planned = request.backend
        asked = replace(options, backend=planned.name, precision=planned.precision)  # type: ignore[arg-type]
        chosen = verified(
            asked,
            prepared.network,
            prepared.plan.scales[-1].size,
            cache_directory().parent / "verdicts",
            tuple(dict.fromkeys(item.execution.keeping for item in prepared.plan.scales)),
        )
        same = (planned.name, planned.precision)
        if (chosen.backend.name, chosen.backend.precision) == same:
            return prepared, chosen
        prepared = prepared.replanned(chosen.backend)


def _prepared_again(
    recorded: Recorded,
    content: Picture | None,
    styles: Sequence[Picture] | None,
    workers: Workers | None,
) -> Prepared:
    """Load the pictures of a checkpoint, and compute them as before."""
    if recorded.canvas is not None and content is not None:
        raise CheckpointError("The run is a texture, which has no content picture; leave it out.")
    given_or_found = content if content is not None else recorded.content
    photo: Subject | None = recorded.canvas or given_or_found
    paintings = list(styles if styles is not None else recorded.styles)
    if photo is None or any(painting is None for painting in paintings):
        raise CheckpointError(
            "The run's pictures were given as arrays, which a checkpoint does not hold; give them "
            "again: resume(directory, content=..., styles=[...])."
        )
    given = [each for each in paintings if each is not None]
    prepared = prepare(photo, given, recorded.options, workers)
    check_digests(prepared.inputs, recorded)
    plans = prepared.plan.scales
    if len(plans) != len(recorded.executions):
        raise CheckpointError(
            f"The checkpoint has {len(recorded.executions)} scales, and the run {len(plans)}; it "
            "is damaged."
        )
    # Cut as before, whatever memory is free today: other strips round otherwise.
    scales = tuple(
        replace(plan, execution=Execution.from_dict(told, prepared.network))
        for plan, told in zip(plans, recorded.executions, strict=True)
    )
    return replace(prepared, plan=Plan(scales, prepared.plan.budget))


def _chosen_again(recorded: Recorded, prepared: Prepared) -> tuple[Prepared, Candidate]:
    told = recorded.candidate
    if not told:  # it was stopped before they were chosen
        return verified_run(prepared)
    if told.get("lowering") not in LOWERINGS or told.get("precision") not in ("f32", "bf16"):
        raise CheckpointError(f"The checkpoint's backend is damaged: {dict(told)}.")
    options = prepared.options
    backend = open_backend(
        told.get("backend", ""),
        told["precision"],  # type: ignore[arg-type]
        options.threads,
        options.device,
        options.cudnn_autotune,
    )
    return prepared, Candidate(backend, told["lowering"])


def _settled(prepared: Prepared, chosen: Candidate) -> dict[str, Any]:
    """Return the parts of a header that are known once the backend is verified."""
    candidate = {
        "backend": chosen.backend.name,
        "precision": chosen.backend.precision,
        "lowering": chosen.lowering,
    }
    executions = [item.execution.to_dict() for item in prepared.plan.scales]
    return {"candidate": candidate, "executions": executions}
