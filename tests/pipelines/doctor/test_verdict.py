import dataclasses

import pytest

from pipelines.doctor.verdict import Machine, Remedy, Stage, Start, Training, diagnose, seconds_an_image

GPU = Machine(cores=8, shared=False)
CPU = Machine(cores=2, shared=True)
MS = 1e-3


def stage(name, cpu, wall=None, where="host", once=False, cores=8):
    """A stage of `cpu` milliseconds an image, on all cores where `wall` does not say otherwise."""
    return Stage(name=name, wall=(wall or cpu / cores) * MS, cpu=cpu * MS, where=where, once=once)


def pipeline(**changed):
    """On 8 cores and a GPU that takes 0.5 ms an image; decode is 78 % of 10 ms of CPU."""
    stages = [
        stage("read", 0.2),
        stage("parse", 0.1),
        stage("decode", 7.8),
        stage("resize", 1.2),
        stage("batch", 0.2),
        stage("copy", 0.1, wall=0.1, where="copy"),
        stage("step", 0.4, wall=0.5, where="device"),
    ]
    return [changed.get(stage.name, stage) for stage in stages]


WAITING = Training(images_per_second=800, waiting=0.41, ceiling=2000)
BUSY = Training(images_per_second=1950, waiting=0.02, ceiling=2000)


def test_decode_binds_and_smaller_images_are_the_remedy():
    short = Remedy(do="convert with --resize short=256", stages=(stage("decode", 3.1), stage("resize", 0.66)))
    raw = Remedy(do="convert to raw", stages=(stage("decode", 3.1), stage("resize", 0.66)))
    verdict = diagnose(pipeline(), WAITING, GPU, [short, raw])
    assert (verdict.kind, verdict.stage) == ("input", "decode")
    assert verdict.sentence == (
        "input-bound: 41 % of the step is spent waiting; decode is 78 % of the CPU; "
        "convert with --resize short=256: about 2.1 times"
    )
    assert [round(gain.training, 1) for gain in verdict.gains] == [2.1, 2.1]


def test_a_slow_disk_binds_though_it_costs_no_cpu():
    stages = pipeline(read=stage("read", 0.2, wall=5.0))
    smaller = Remedy(do="convert with --resize short=256", stages=(stage("read", 0.1, wall=2.0),))
    verdict = diagnose(stages, WAITING, GPU, [smaller])
    assert (verdict.kind, verdict.stage) == ("input", "read")
    assert "read takes 5 ms an image, and leaves the cores idle" in verdict.sentence
    assert verdict.gains[0].training == pytest.approx(2.5)


def test_augmentation_on_the_host_binds_and_belongs_on_the_device():
    stages = [*pipeline(decode=stage("decode", 0.5)), stage("augmentation", 9.0)]
    on_device = stage("augmentation", 0.1, wall=0.2, where="device")
    verdict = diagnose(stages, WAITING, GPU, [Remedy(do="train with --augment-on device", stages=(on_device,))])
    assert (verdict.kind, verdict.stage) == ("input", "augmentation")
    assert "augmentation on the host is 77 % of the CPU; train with --augment-on device" in verdict.sentence
    # 11.7 ms of CPU on 8 cores were 1.46 ms; the device now takes 0.7: 2.1 times.
    assert verdict.gains[0].training == pytest.approx(11.7 / 8 / 0.7)


def test_the_copy_binds_where_it_is_the_slowest():
    verdict = diagnose(pipeline(copy=stage("copy", 0.1, wall=1.6, where="copy")), WAITING, GPU)
    assert (verdict.kind, verdict.stage) == ("copy", "copy")
    assert "copy-bound: 41 % of the step is spent waiting; the copy to the device takes 1.6 ms" in verdict.sentence
    assert "constant batches: 2.5 times" in verdict.sentence


def test_the_step_binds_and_the_verdict_says_how_much_faster_it_would_have_to_get():
    stages = pipeline(decode=stage("decode", 0.5), resize=stage("resize", 0.2), step=stage("step", 0.4, 0.5, "device"))
    verdict = diagnose(stages, BUSY, GPU, [Remedy(do="convert to raw", stages=(stage("decode", 0.1),))])
    assert (verdict.kind, verdict.stage) == ("step", "step")
    # Input alone: 1.3 ms of CPU on 8 cores, 0.1625 ms an image; the step 0.5.
    assert "the step would have to get 3.1 times faster" in verdict.sentence
    assert "convert" not in verdict.sentence and verdict.gains[0].training == 1


def test_waiting_that_constant_batches_show_as_well_is_not_the_inputs():
    training = Training(images_per_second=1950, waiting=0.16, ceiling=2000, idle=0.14)
    assert diagnose(pipeline(), training, GPU).kind == "step"
    assert diagnose(pipeline(), dataclasses.replace(training, idle=0.0), GPU).kind == "input"


def test_input_and_step_on_the_same_cores_add_up():
    stages = pipeline(
        decode=stage("decode", 4, cores=2),
        resize=stage("resize", 0),
        step=stage("step", 5.2, wall=3.25, where="device"),
    )
    # Alone: input 2.25 ms, step 3.25 ms. Together 9.8 ms of CPU on 2 cores.
    assert seconds_an_image(stages, CPU) == pytest.approx(4.9 * MS)
    free = Remedy(do="convert to raw", stages=(stage("decode", 0.4, cores=2),))
    verdict = diagnose(stages, Training(images_per_second=200, waiting=0.05, ceiling=310), CPU, [free])
    assert verdict.kind == "step" and "input takes 47 % of the CPU that both share" in verdict.sentence
    assert verdict.gains[0].training == pytest.approx(4.9 / 3.25, rel=1e-3)
    assert verdict.sentence.endswith("convert to raw: about 1.5 times")


def test_no_gain_is_promised_beyond_what_constant_batches_reach():
    remedy = Remedy(do="convert to raw", stages=(stage("decode", 0.1), stage("resize", 0.1)))
    training = dataclasses.replace(WAITING, ceiling=1200)
    assert diagnose(pipeline(), training, GPU, [remedy]).gains[0].training == pytest.approx(1.5)


def test_what_a_resident_reader_does_once_never_binds_but_has_a_remedy_for_the_start():
    stages = [dataclasses.replace(s, once=s.name in ("read", "parse", "decode", "resize")) for s in pipeline()]
    short = Remedy(do="convert with --resize short=256", stages=(stage("decode", 1.1, once=True),))
    verdict = diagnose(stages, WAITING, GPU, [short], Start(seconds=120, images=100_000))
    assert (verdict.kind, verdict.stage) == ("copy", "copy")
    assert verdict.sentence.endswith(
        "The start takes about 120 s, in which 100,000 images are read and decoded once "
        "(convert with --resize short=256: about 3.6 times sooner)"
    )
