import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest

from torchrec_ext import compatibility


@pytest.fixture
def installed(monkeypatch):
    """Sets which distributions are there; nothing else can be imported."""

    def pretend(**versions):
        def version(name):
            if name.replace("-", "_") in versions:
                return versions[name.replace("-", "_")]
            raise PackageNotFoundError(name)

        monkeypatch.setattr(compatibility, "version", version)
        monkeypatch.setattr(compatibility, "find_spec", lambda name: None)

    return pretend


def complaint():
    with pytest.raises(ImportError) as caught:
        compatibility.check()
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("triple", compatibility.GOOD, ids=lambda t: t.torch)
@pytest.mark.parametrize("build", ["fbgemm_gpu", "fbgemm_gpu_cpu"])
def test_good_triples_pass(installed, triple, build):
    for torchrec in triple.torchrec:
        installed(torch=triple.torch + "+cpu", **{build: triple.fbgemm}, torchrec=torchrec)
        compatibility.check()


def test_releases_after_the_table_pass_if_the_rule_holds(installed):
    installed(torch="2.16.1+cu140", fbgemm_gpu="1.11.0", torchrec="2.0.0")
    compatibility.check()


def test_mismatched_triple_names_itself_and_a_good_one_of_this_torch(installed):
    installed(torch="2.14.0+cpu", fbgemm_gpu_cpu="1.8.0", torchrec="1.8.0")
    assert complaint() == (
        "torch 2.14.0+cpu, fbgemm-gpu-cpu 1.8.0 and torchrec 1.8.0 do not work together: fbgemm 1.N belongs "
        "to torch 2.(N+5); what works: torch 2.14.0, fbgemm-gpu-cpu 1.9.0, torchrec 1.8.0; "
        "pip install --no-deps fbgemm-gpu-cpu==1.9.0 torchrec==1.8.0"
    )


def test_mismatch_with_a_torch_that_is_not_in_the_table_names_the_installed_triple(installed):
    installed(torch="2.9.1", fbgemm_gpu="1.8.0", torchrec="1.7.0")
    message = complaint()
    assert "what works: torch 2.13.0, fbgemm-gpu 1.8.0, torchrec 1.7.0" in message
    assert "pip install" not in message


def test_old_fbgemm_is_a_mismatch(installed):
    installed(torch="2.4.0", fbgemm_gpu="0.9.0", torchrec="0.9.0")
    assert "fbgemm-gpu 0.9.0" in complaint()


def test_missing_torch(installed):
    installed(fbgemm_gpu_cpu="1.8.0", torchrec="1.8.0")
    message = complaint()
    assert "torch is not installed" in message
    assert "pip install 'torchrec-ext[cpu]' && pip install --no-deps torchrec==1.8.0" in message


def test_missing_fbgemm_gets_the_one_of_this_torch(installed):
    installed(torch="2.12.0", torchrec="1.8.0")
    message = complaint()
    assert "needs fbgemm" in message
    assert "pip install --no-deps fbgemm-gpu-cpu==1.7.0 torchrec==1.8.0" in message


def test_missing_torchrec_keeps_the_fbgemm_build(installed):
    installed(torch="2.13.0", fbgemm_gpu="1.8.0")
    message = complaint()
    assert "needs torchrec" in message
    assert message.endswith("&& pip install --no-deps fbgemm-gpu==1.8.0 torchrec==1.8.0")


def test_both_builds_at_once(installed):
    installed(torch="2.13.0", fbgemm_gpu="1.8.0", fbgemm_gpu_cpu="1.8.0", torchrec="1.8.0")
    assert "overwrite each other's files" in complaint()


def test_a_build_from_source_without_metadata_is_trusted(installed, monkeypatch):
    installed(torch="2.13.0", torchrec="1.8.0")
    monkeypatch.setattr(compatibility, "find_spec", lambda name: object())
    compatibility.check()


def test_check_imports_nothing_of_what_it_checks():
    code = (
        "import sys; from torchrec_ext import compatibility; compatibility.check(); "
        "print(sorted({'torch', 'fbgemm_gpu', 'torchrec'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"
