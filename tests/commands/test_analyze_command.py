"""``spectra analyze``: what it prints, what it writes, and that it does so again."""

import json

import numpy as np
import pytest
import torch
from command_line import SMALL, invoke, unfolded

from checkpoints import load_checkpoint, load_data, save_native
from cli.display.words import number
from spectra import load_analysis


def test_analyze_prints_the_promised_keys_as_json(run_folder, tmp_path):
    result = invoke("analyze", run_folder, "--classes", "9", "--json", "-o", tmp_path, *SMALL)
    rows = json.loads(result.stdout)["classes"]
    wanted = {
        "class", "n", "accuracy", "lambda_min", "lambda_max", "ratio", "grad_norm", "verdict",
    }  # fmt: skip
    assert wanted <= set(rows[0])
    assert rows[0]["class"] == 9


def test_short_work_is_silent_where_stderr_is_no_terminal(run_folder, tmp_path):
    result = invoke("analyze", run_folder, "--classes", "9", "--json", "-o", tmp_path, *SMALL)
    assert result.stderr == ""


def test_the_same_command_and_seed_write_the_same_bytes(run_folder, tmp_path):
    for name in ("a", "b"):
        invoke("analyze", run_folder, "--classes", "0,9", "-o", tmp_path / name, *SMALL)
    first, second = ((tmp_path / n / "analysis.json").read_bytes() for n in ("a", "b"))
    assert first == second


def test_another_seed_gives_other_probes(run_folder, tmp_path):
    for seed in (0, 1):
        place = tmp_path / str(seed)
        invoke("analyze", run_folder, "--classes", "9", "--seed", seed, "-o", place, *SMALL)
    a, b = (load_analysis(tmp_path / s / "analysis.json") for s in "01")
    assert a.records[0].spectrum.nodes[3] != b.records[0].spectrum.nodes[3]


def test_a_class_gets_the_same_numbers_alone_and_among_others(run_folder, tmp_path):
    invoke("analyze", run_folder, "--classes", "9", "-o", tmp_path / "alone", *SMALL)
    invoke("analyze", run_folder, "--classes", "0,head,9", "-o", tmp_path / "among", *SMALL)
    alone = load_analysis(tmp_path / "alone" / "analysis.json").record("9")
    among = load_analysis(tmp_path / "among" / "analysis.json").record("9")
    assert alone.lambda_min == among.lambda_min


def test_epoch_is_chosen_with_an_at_sign(run_folder, tmp_path):
    result = invoke("analyze", f"{run_folder}@1", "--classes", "9", "-o", tmp_path, *SMALL)
    assert "epoch 1" in result.stdout


def test_global_reduction_multiplies_by_the_share_of_the_images(run_folder, tmp_path):
    places = {r: tmp_path / r for r in ("mean", "global")}
    for reduction, place in places.items():
        invoke(
            "analyze", run_folder, "--classes", "0", "--reduction", reduction, "-o", place, *SMALL
        )
    mean, share = (load_analysis(p / "analysis.json").records[0] for p in places.values())
    counts = load_checkpoint(run_folder).class_counts
    assert counts is not None
    # One float64 product apart.
    assert share.lambda_max == pytest.approx(mean.lambda_max * counts[0] / sum(counts), rel=1e-12)


def test_pyhessian_agrees_on_lambda_max(run_folder, tmp_path):
    rows = {}
    for engine in ("spectra", "pyhessian"):
        result = invoke(
            "analyze", run_folder, "--classes", "0,9", "--engine", engine, "--json",
            "-o", tmp_path / engine, "--no-figures", "--num-steps", 25, "--num-probes", 1,
        )  # fmt: skip
        rows[engine] = json.loads(result.stdout)["classes"]
    for ours, theirs in zip(rows["spectra"], rows["pyhessian"], strict=True):
        # The bar of the comparison; float32 Lanczos of 25 steps is far inside it.
        assert theirs["lambda_max"] == pytest.approx(ours["lambda_max"], rel=0.01)


def test_two_steps_are_enough_for_an_answer(run_folder, tmp_path):
    result = invoke(
        "analyze", run_folder, "--classes", "9", "--num-probes", 1, "--num-steps", 2,
        "--max-steps", 2, "--no-figures", "-o", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert not load_analysis(tmp_path / "analysis.json").records[0].converged


def test_a_strangers_file_is_analyzed_with_the_data_named(run_folder, tmp_path):
    torch.save(dict(load_checkpoint(run_folder).state), tmp_path / "bare.pth")
    result = invoke(
        "analyze", tmp_path / "bare.pth", "--data", "digits", "--classes", "9", "-o",
        tmp_path / "out", *SMALL,
    )  # fmt: skip
    assert result.exit_code == 0, result.output


def test_a_class_with_one_image_gets_a_verdict(run_folder, tmp_path):
    state = load_checkpoint(run_folder)
    images = np.zeros((11, 1, 8, 8), np.uint8)
    images[:, 0, 2:6, 3] = np.arange(11)[:, None] + 4
    np.savez(tmp_path / "one.npz", images=images, labels=np.array([*range(10), 0]))
    save_native(tmp_path / "c.safetensors", state)
    result = invoke(
        "analyze", tmp_path / "c.safetensors", "--data", f"npz:{tmp_path}/one.npz", "--classes",
        "5", "--json", "-o", tmp_path / "out", *SMALL,
    )  # fmt: skip
    row = json.loads(result.stdout)["classes"][0]
    assert (row["n"], bool(row["verdict"])) == (1, True)


def test_accuracy_of_other_data_is_not_the_checkpoints_record(tmp_path):
    images = np.arange(6 * 64, dtype=np.int64).reshape(6, 1, 8, 8) % 17
    np.savez(tmp_path / "a.npz", images=images.astype(np.uint8), labels=np.arange(6))
    result = invoke(
        "analyze", "bundled:digits/ce-drw", "--classes", "3", "--data", f"npz:{tmp_path}/a.npz",
        "--json", "-o", tmp_path / "out", *SMALL,
    )  # fmt: skip
    assert json.loads(result.stdout)["classes"][0]["accuracy"] is None


def test_accuracy_without_test_images_is_said_to_be_a_record(tmp_path):
    digits = load_data()
    for name, split in (("train", digits.train), ("test", digits.test)):
        np.savez(tmp_path / name, images=split.images.numpy(), labels=split.labels.numpy())
    place, run = f"npz:{tmp_path}/train.npz", tmp_path / "run"
    invoke("train", "ce", "--epochs", 1, "--data", f"{place},{tmp_path}/test.npz", "-o", run)
    result = invoke(
        "analyze", run, "--data", place, "--classes", "9", "-o", tmp_path / "out", *SMALL
    )
    recorded = load_checkpoint(run).metrics["test"]["accuracy"][9]
    kept = load_analysis(tmp_path / "out" / "analysis.json")
    assert kept.records[0].accuracy == recorded
    assert "the same of the class's test images, as recorded" in unfolded(result.stdout)


def test_an_end_that_has_not_converged_is_marked(run_folder, tmp_path):
    result = invoke(
        "analyze", run_folder, "--classes", "9", "--num-probes", 1, "--num-steps", 2,
        "--max-steps", 2, "--no-figures", "-o", tmp_path,
    )  # fmt: skip
    record = load_analysis(tmp_path / "analysis.json").records[0]
    assert f"≤{number(record.lambda_min)}" in result.stdout
    assert "not converged in 2 steps" in unfolded(result.stdout)
    assert "1 probe x 2 steps" in unfolded(result.stdout)


def test_certificates_are_printed_as_they_are_written(run_folder, tmp_path):
    result = invoke(
        "analyze", run_folder, "--classes", "9", "--certificates", "-o", tmp_path, *SMALL
    )
    written = (tmp_path / "certificates.txt").read_text(encoding="utf-8")
    assert written.startswith("class 9, ")
    assert written in result.stdout
