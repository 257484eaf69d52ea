# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a kernel is called, what its hash depends on, and what a failed build says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vmad.lab.built.command import tell_how_it_applies
from vmad.lab.built.make import first_errors, options_in
from vmad.lab.built.recipe import CONFIGURATIONS, Recipe, recipe_of
from vmad.lab.built.source import Source
from vmad.lab.cache import Cache
from vmad.lab.checkout import package_root
from vmad.lab.errors import LabError

LAB_NEEDS = (
    *("VIRTIO_PCI", "VIRTIO_CONSOLE", "VIRTIO_FS", "OVERLAY_FS", "DEVTMPFS", "BLK_DEV_INITRD"),
    *("CGROUPS", "DEBUG_INFO_BTF", "BPF_SYSCALL", "FTRACE_SYSCALLS"),
    # for a debugger that reads the guest from outside
    *("FW_CFG_SYSFS", "KEXEC"),
)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    for name, text in (("0001-x.patch", "patch"), ("small.config", "CONFIG_SMP=y\n")):
        (tmp_path / name).write_text(text)
    return Recipe(
        "patched-6.12",
        Source("6.12.117-1", tmp_path),
        (tmp_path / "0001-x.patch",),
        (tmp_path / "small.config",),
    )


def test_key_changes_with_source_patches_and_configuration(recipe: Recipe, tmp_path: Path) -> None:
    keys = {recipe.key(), replace(recipe, patches=()).key()}
    keys.add(replace(recipe, source=Source("6.12.118-1", tmp_path)).key())
    recipe.patches[0].write_text("another patch")
    keys.add(recipe.key())
    recipe.fragments[0].write_text("CONFIG_SMP=n\n")
    keys.add(recipe.key())
    assert len(keys) == 5


def test_key_does_not_depend_on_the_name(recipe: Recipe) -> None:
    assert replace(recipe, name="another").key() == recipe.key()


def built(tmp_path: Path, **options: object) -> Recipe:
    cache = Cache(tmp_path)
    (tmp_path / "kernel-source" / "linux-6.12.1-1").mkdir(parents=True, exist_ok=True)
    wanted = {"stock": True, "config": "small", "version": "6.12.1-1", **options}
    return recipe_of(cache, **wanted)  # type: ignore[arg-type]


def test_kernels_are_called_after_what_they_are(tmp_path: Path) -> None:
    assert built(tmp_path).name == "stock-6.12"
    assert built(tmp_path, config="debug").name == "stock-6.12-debug"
    assert built(tmp_path, name="mine").name == "mine"


def test_name_that_would_leave_the_cache_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot be a kernel's name"):
        built(tmp_path, name="../mine")


def test_series_is_part_of_the_recipe_and_named_when_absent(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="there is no patch series"):
        built(tmp_path, stock=False, patches=tmp_path)


def test_source_on_which_the_series_was_not_proved_is_named_as_such(tmp_path: Path) -> None:
    recipe = built(tmp_path, stock=False)
    assert recipe.what().startswith("linux 6.12.1-1 (the series was proved on 6.12")
    assert built(tmp_path).what() == "linux 6.12.1-1"
    proved = replace(recipe, source=replace(recipe.source, version=recipe.proved[-1]))
    assert proved.what() == f"linux {recipe.proved[-1]}"


def test_apply_only_names_each_patch_and_what_is_left_to_be_proved(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mm.c").write_text("before\n" * 3 + "a\nb\nc\nold\nd\ne\nf\n")
    patch = "--- a/mm.c\n+++ b/mm.c\n@@ -1,7 +1,7 @@\n a\n b\n c\n-old\n+new\n d\n e\n f\n"
    recipe.patches[0].write_text(patch)
    tell_how_it_applies(replace(recipe, proved=("6.12.116-1",)))
    moved, unproved = capsys.readouterr().out.splitlines()
    assert moved == "0001-x.patch: applies, moved: hunk 1 of mm.c by +3 lines"
    assert unproved.startswith("linux 6.12.117-1: the series applies and was not proved on it")
    tell_how_it_applies(replace(recipe, proved=("6.12.117-1",)))
    assert capsys.readouterr().out.splitlines()[-1] == (
        "linux 6.12.117-1: the series applies, and was proved on it"
    )
    assert "old" in (tmp_path / "mm.c").read_text()


def test_every_configuration_has_what_the_lab_boots_with() -> None:
    """The list of docs/lab.md, and what reading a guest from outside needs."""
    home = Path(package_root()) / "deploy/kernel/config"
    for name, fragments in CONFIGURATIONS.items():
        options: dict[str, str] = {}
        for fragment in fragments:
            options.update(options_in((home / fragment).read_text()))
        if name == "debug":
            options["CONFIG_DEBUG_INFO_BTF"] = "y"  # it goes without BPF, to build in half the time
        assert {name: options.get(f"CONFIG_{name}") for name in LAB_NEEDS} == dict.fromkeys(
            LAB_NEEDS, "y"
        )


def test_only_a_patched_kernel_is_configured_with_what_the_series_brings(tmp_path: Path) -> None:
    patched, stock = built(tmp_path, stock=False), built(tmp_path)
    assert [fragment.name for fragment in patched.fragments] == ["small.config", "patched.config"]
    assert [fragment.name for fragment in stock.fragments] == ["small.config"]
    options = options_in(patched.fragments[-1].read_text())
    assert options == {"CONFIG_ANON_VMA_MERGE": "y", "CONFIG_ANON_VMA_MERGE_STATS": "y"}


def test_debug_fragment_watches_memory_and_locks() -> None:
    text = (Path(package_root()) / "deploy/kernel/config/debug.config").read_text()
    options = options_in(text)
    names = "DEBUG_VM DEBUG_VM_RB DEBUG_VM_MAPLE_TREE PROVE_LOCKING KASAN PAGE_TABLE_CHECK"
    assert {options[f"CONFIG_{name}"] for name in names.split()} == {"y"}


def test_options_are_read_in_both_of_kconfigs_forms() -> None:
    text = '# prose\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="x"\nCONFIG_A=n\n'
    assert options_in(text) == {"CONFIG_A": "n", "CONFIG_B": "n", "CONFIG_C": '"x"'}


def test_first_error_of_a_build_is_found_among_what_make_says_afterwards() -> None:
    log = (
        "  CC      mm/vma.o\nmm/vma.c:12:1: error: unknown type name 'x'\n   12 | x y;\n"
        "make[3]: *** [scripts/Makefile.build:229: mm/vma.o] Error 1\n"
    )
    assert first_errors(log)[0] == "mm/vma.c:12:1: error: unknown type name 'x'"
