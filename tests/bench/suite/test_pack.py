"""What is sent after a run of the suite."""

import zipfile

from suite_parts import noise

from cli.bench.gpu_ledger.pack import pack


def test_the_last_weights_come_first_and_what_has_no_room_is_named(tmp_path):
    folder = tmp_path / "runs" / "ce-drw" / "checkpoints"
    folder.mkdir(parents=True)
    for epoch in (10, 50, 200):
        content = noise(10, 3, seed=epoch).numpy().tobytes()  # 30 KiB that do not compress
        (folder / f"epoch-{epoch:04d}.safetensors").write_bytes(content)
    (tmp_path / "results.json").write_text("{}")
    packed = pack(tmp_path, max_files=2, max_bytes=(30 + 64 + 2) * 2**10)
    assert [path.name for path in packed.files] == ["results.json", "weights-1.zip"]
    names = zipfile.ZipFile(packed.files[1]).namelist()
    assert names == ["runs/ce-drw/checkpoints/epoch-0200.safetensors"]
    assert packed.left_out == (
        "runs/ce-drw/checkpoints/epoch-0050.safetensors",
        "runs/ce-drw/checkpoints/epoch-0010.safetensors",
    )
