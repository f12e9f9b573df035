"""Inception in its two forms: `inception`, with clean-fid's resize, and `inception-legacy`, as the papers feed it.

golden/inception-legacy.json: what the released code of CBDM (score/inception.py) gives for `ramps`, with the weights of
`random_state`; only figures were taken from it. Features are every 400th from the 100th on, probabilities every 252nd
from the 50th on.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from stand_in_networks import StandIn, pixels, ramps, random_state, stand_in_for
from torch import Tensor

from ltgen_bench.data.images import Images
from ltgen_bench.errors import UsageError
from ltgen_bench.scoring.extractors import extractor, identify, resize
from ltgen_bench.scoring.extractors.inception import InceptionFamily
from ltgen_bench.scoring.feature_cache import features_of
from ltgen_bench.scoring.metric_table import metric_name, metric_table

FIGURES = json.loads((Path(__file__).parent / "golden" / "inception-legacy.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    from torchvision.models import inception_v3

    return random_state(inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False))


@pytest.fixture
def state_file(state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the suite finds them, in place of pytorch-fid's."""
    path = tmp_path / "pt_inception-2015-12-05-6726825d.pth"
    torch.save(state, path)
    stand_in_for(monkeypatch, InceptionFamily, path)
    monkeypatch.setenv("LTGEN_DATA", str(tmp_path))
    return path


@pytest.fixture
def torchscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The same in place of NVIDIA's."""
    net, path = StandIn(), tmp_path / "inception-2015-12-05.pt"
    torch.jit.script(net).save(str(path))
    stand_in_for(monkeypatch, InceptionFamily, path)
    monkeypatch.setenv("LTGEN_DATA", str(tmp_path))
    return net


def test_inception_weights_are_looked_for_and_never_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTGEN_DATA", str(tmp_path))
    with pytest.raises(UsageError, match=r"no file .*inception-2015-12-05\.pt: put .* there, .* never downloaded"):
        extractor("inception")
    for ask in (extractor, identify):
        with pytest.raises(UsageError, match=r"no file /my/data/inception-2015-12-05\.pt"):
            ask("inception", data_dir=Path("/my/data"))


def test_missing_weights_are_named_with_their_hash_and_where_they_are_published(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        identify("inception", data_dir=tmp_path)
    for weights in InceptionFamily.weights:
        for part in (weights.file, weights.sha256, weights.url):
            assert part in str(error.value)
    assert weights.url.endswith(weights.file)


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:FutureWarning")
@pytest.mark.parametrize(
    ("name", "scaled"),
    [
        ("inception", lambda x: (resize(x, 299) - 128) / 128),
        ("inception-legacy", lambda x: 2 * (resize(x, 299, "bilinear") / 255) - 1),
    ],
)
def test_inception_runs_a_stand_in_of_the_same_format(
    torchscript: StandIn, name: str, scaled: Callable[[Tensor], Tensor]
) -> None:
    batch = pixels(3, 16, 1)
    given, logits = extractor(name)(batch)
    with torch.inference_mode():
        x = scaled(torch.from_numpy(batch))
        expected, expected_logits = torchscript.layers(x).flatten(1), torchscript(x) - torchscript.output.bias
    np.testing.assert_allclose(given, expected, atol=1e-5)
    np.testing.assert_allclose(logits, expected_logits, atol=1e-4)


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:FutureWarning")
def test_other_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "inception-2015-12-05.pt"
    torch.jit.script(StandIn()).save(str(path))
    for name in ("inception", "inception-legacy"):
        with pytest.raises(UsageError, match="SHA-256"):
            extractor(name, path)


def close(given: object, expected: Tensor) -> None:
    """As near as float32 allows where one has its batch norms folded into the convolutions."""
    np.testing.assert_allclose(given, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_inception_from_a_state_dict_is_torch_fidelitys(state_file: Path) -> None:
    fidelity = pytest.importorskip(
        "torch_fidelity.feature_extractor_inceptionv3", reason="torch-fidelity, of the extra [test], is not installed"
    )
    batch = pixels(2, 299, 3)
    given, given_logits = dataclasses.replace(extractor("inception"), batch=2)(batch)
    theirs = fidelity.FeatureExtractorInceptionV3(
        "theirs", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(state_file)
    )
    with torch.inference_mode():
        features, logits = theirs(torch.from_numpy(batch).permute(0, 3, 1, 2))
    assert given.shape == (2, 2048)
    close(given, features)
    close(given_logits, logits)
    assert np.abs(given[0] - given[1]).max() > 1e-3 * given.max()


@pytest.mark.parametrize("side", [32, 299, 400])
def test_the_legacy_input_is_clean_fids_bit_for_bit(side: int) -> None:
    from cleanfid.resize import build_resizer

    theirs = [build_resizer("legacy_pytorch")(image) for image in ramps(side)]
    given = resize(torch.from_numpy(ramps(side)), 299, "bilinear")
    np.testing.assert_array_equal(given.permute(0, 2, 3, 1), np.stack(theirs))


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")
def test_the_legacy_features_are_clean_fids(
    state_file: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own code for `legacy_pytorch`, which is pytorch-fid's, from the image to the features."""
    from cleanfid import inception_pytorch
    from cleanfid.features import build_feature_extractor
    from cleanfid.resize import build_resizer

    monkeypatch.setattr(inception_pytorch, "load_state_dict_from_url", lambda *_, **__: state)
    theirs = build_feature_extractor("legacy_pytorch", torch.device("cpu"), use_dataparallel=False)
    resized = np.stack([build_resizer("legacy_pytorch")(image) for image in ramps(32)])
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(resized.transpose(0, 3, 1, 2)))
    close(dataclasses.replace(extractor("inception-legacy"), batch=2)(ramps(32))[0], expected)


@pytest.mark.parametrize("side", [32, 400])
def test_the_legacy_form_is_that_of_the_papers_released_code(state_file: Path, side: int) -> None:
    assert int(ramps(side).sum()) == FIGURES[str(side)]["pixel_sum"]
    features, logits = dataclasses.replace(extractor("inception-legacy"), batch=2)(ramps(side))
    probabilities = torch.from_numpy(logits).softmax(1)
    expected = {name: torch.tensor(value) for name, value in FIGURES[str(side)].items()}
    close(features[:, 100::400], expected["features"])
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), expected["norm"], rtol=1e-4)
    np.testing.assert_allclose(probabilities[:, 50::252], expected["probabilities"], rtol=1e-2, atol=1e-9)
    np.testing.assert_allclose(probabilities.amax(1), expected["largest"], rtol=1e-3)
    assert probabilities.argmax(1).tolist() == expected["first"].tolist()
    clean = dataclasses.replace(extractor("inception"), batch=2)(ramps(side))[0]
    assert np.abs(clean - features).max() > 2e-3 * np.abs(features).max()


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:FutureWarning")
def test_the_two_forms_share_weights_and_nothing_else(torchscript: StandIn, tmp_path: Path) -> None:
    forms = [extractor(name) for name in ("inception", "inception-legacy")]
    assert forms[0].sha256 == forms[1].sha256
    batch = Images(pixels(3, 16, 3), np.arange(3))
    kept = [features_of(batch, form, tmp_path / "cache").features for form in forms]
    again = [features_of(batch, form, tmp_path / "cache").features for form in forms]
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert not np.array_equal(*kept)
    np.testing.assert_array_equal(kept, again)
    for metric, spec in metric_table().items():
        names = {metric_name(metric, form.id) for form in forms}
        assert len(names) == 2 or not spec.of_features, metric
    assert [metric_name("FD", form.id) for form in forms] == ["FID", "FID-legacy"]
    assert metric_name("FD", "inception-legacier") == "FD-inception-legacier"
