"""An encoding in words: what a source was taken for, and what is made of it."""

from sinr_codec.encoding.job import Job
from sinr_codec.fields import Field


def describe_field(field: Field, parts: int = 1) -> str:
    """Description of a network, such as "sine 3x64", or of several."""
    name = field.describe()
    if hasattr(field, "activation") and hasattr(field, "hidden_layers"):
        name = f"{type(field.activation).__name__.lower()} {field.hidden_layers}x{field.width}"
    return name if parts == 1 else f"{parts} networks of {name}"


def plan_in_words(job: Job, network: Field, max_bytes: int | None) -> str:
    """The source, the target, the network of the first fit and its length, in one line."""
    length = f"{job.steps:,} steps" if job.request.seconds is None else f"{job.request.seconds:g} s"
    made = f"{_aim(job, network, max_bytes)}, {describe_field(network, job.spec.parts)}, {job.preset.name}, {length}"
    return f"{job.name}: {_source(job)} -> {made}"


def quality_in_words(job: Job) -> str:
    """The quality that was asked for."""
    return f"{job.psnr:g} dB" if job.request.snr is None else f"SNR {job.request.snr:g} dB"


def _source(job: Job) -> str:
    about = job.spec.describe()
    shape = about["shape"]
    if "mode" in about:  # pictures are wide times high
        shape = [shape[1], shape[0]]
    sizes = " x ".join(f"{size}" for size in shape) + f" {job.spec.UNIT}s"
    units = {"rate": "Hz", "fps": "fps", "views": "views"}
    facts = [f"{about[key]:,} {unit}" for key, unit in units.items() if key in about]
    facts += about.get("variables", [])
    return ", ".join([f"{job.noun} {sizes}", *facts, str(about.get("mode", about.get("dtype", "")))]).rstrip(", ")


def _aim(job: Job, network: Field, max_bytes: int | None) -> str:
    """The size or the quality that is meant; of a size that nobody named, what to expect where that is known."""
    if job.psnr is not None:
        return quality_in_words(job)
    if job.request.bounded:
        return "no error" if job.request.lossless else f"a largest error of {job.request.max_error}"
    if job.budget is None and job.method is not None and job.method.training.weighted:
        return "the usual balance of rate and quality"
    size, about = job.budget, ""
    if job.bits is not None:
        size = round(job.bits * job.spec.samples / 8)
    if size is None:
        params = network.num_params * job.spec.parts
        size = max_bytes if max_bytes is not None else round(params * job.bits_a_param / 8) + len(job.spec.side)
        about = "about "
    return f"{about}{size:,} bytes ({8 * size / job.spec.samples:.3g} bits a {job.spec.UNIT})"
