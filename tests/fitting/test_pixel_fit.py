import inspect

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from lookcast.checks import InputError
from lookcast.encoders.compact import CompactEncoder
from lookcast.encoders.vgg import VGG19Network
from lookcast.fitting.losses import grid_loss, pixel_loss
from lookcast.fitting.pixel_fit import PixelFit
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import apply_affine, identity_grid
from lookcast.ops.local_affine import matting_energy
from lookcast.ops.resize import resize_image
from lookcast.ops.smoothing import smooth_local_affine
from lookcast.paths import shipped
from lookcast.structures import StyleInput
from tests.samples import photo

CONTENT, STYLE = (resize_image(photo(name, whole=True).float(), 64, 96) for name in ("coffee", "astronaut"))


@pytest.fixture(scope="module")
def encoder():
    return CompactEncoder()


def fit(given, content=CONTENT, masks=(None, None), style=STYLE, **options):
    """Fit with an encoder; return the last state and the states of the steps."""
    states = []
    made = PixelFit(**{"steps": 12, "tolerance": 0.0, "on_step": lambda state: states.append(state), **options})
    return made.fit(given, content, [StyleInput(style, masks[1])], [masks[0]]), states


def image_of(state):
    return apply_grid(state.grid, state.content)


class TestPixelFit:
    def test_two_stages(self, encoder):
        last, states = fit(encoder, steps=30, smooth_radius=0)
        assert [state.step for state in states] == [*range(31), *range(30, 61)]
        assert {state.steps for state in states} == {60}
        first = states[30]  # the last of stage 1; stage 2 reports it again with the matting energy
        energies = [float(matting_energy(CONTENT, image_of(state).clamp(0, 1))) for state in (first, last)]
        assert energies[1] < 0.1 * energies[0]
        assert float(first.terms.style) < 0.2 * float(states[0].terms.style)
        assert float(last.terms.style) < 0.3 * float(states[0].terms.style)
        assert float(first.terms.photorealism) == 0
        assert float(states[31].terms.photorealism) > 0
        # The weight is that of the sum form.
        weight = float(states[31].terms.total) - 2e6 * float(states[31].terms.style)
        weight -= 2e5 * float(states[31].terms.content + states[31].terms.variation)
        expected = 1e4 * float(matting_energy(CONTENT, image_of(states[31])))
        assert weight == pytest.approx(expected, rel=1e-3)  # float32: a difference of large sums

    def test_the_grid_is_the_smoothed_output(self, encoder):
        raw, _ = fit(encoder, steps=4, smooth_radius=0)
        smooth, _ = fit(encoder, steps=4, smooth_radius=3, smooth_edge=0.05)
        assert smooth.grid.shape == (1, 12, 1, 64, 96)
        models = smooth_local_affine(CONTENT, image_of(raw).clamp(0, 1), 3, 0.05)
        # Float32: slicing computes the position of a pixel to a millionth of a cell.
        assert (image_of(smooth) - apply_affine(models, CONTENT)).abs().max() < 1e-4
        assert (image_of(smooth) - CONTENT).abs().mean() > 0.01

    def test_starts_from_the_content(self, encoder):
        _, states = fit(encoder, steps=1)
        assert torch.equal(states[0].grid, identity_grid(1, 1, 64, 96))
        assert torch.equal(states[0].content, CONTENT)

    def test_lowest_loss_in_each_stage(self, encoder):
        _, states = fit(encoder, steps=6)
        for stage in (states[:7], states[7:]):
            totals = [float(state.terms.total) for state in stage]
            assert totals == sorted(totals, reverse=True)
            assert totals[-1] < totals[0]

    def test_ends_when_asked(self, encoder):
        steps = []
        last, _ = fit(encoder, on_step=lambda state: steps.append(state.step) or state.step == 3)
        assert steps == [0, 1, 2, 3]  # no second stage
        assert (image_of(last) - CONTENT).abs().mean() > 0.001
        last, _ = fit(encoder, steps=5, on_step=lambda state: steps.append(state.step) or len(steps) == 12)
        assert steps[4:] == [0, 1, 2, 3, 4, 5, 5, 6]
        assert last.step == 6

    def test_any_layout_and_mode(self, encoder):
        expected, _ = fit(encoder, steps=3)
        permuted = CONTENT.contiguous(memory_format=torch.channels_last)  # the layout of a photo from a file
        with torch.inference_mode():
            assert torch.equal(fit(encoder, permuted.clone(), steps=3)[0].grid, expected.grid)

    def test_large_photos_are_shrunk(self, encoder):
        last, _ = fit(encoder, steps=2, max_side=48)
        assert last.grid.shape == (1, 12, 1, 32, 48)
        assert apply_grid(last.grid, CONTENT).shape == CONTENT.shape

    def test_masks_pair_the_regions(self, encoder):
        # The left half takes the dark half of the style, the right half takes the bright half.
        content = 0.4 + 0.2 * CONTENT
        style = torch.cat([0.7 + 0.3 * STYLE[..., :48], 0.3 * STYLE[..., 48:]], 3)
        mask = torch.zeros(1, 9, 64, 96)
        mask[:, 0, :, :48], mask[:, 1, :, 48:] = 1, 1
        swapped = mask[:, [1, 0, *range(2, 9)]]
        last, _ = fit(encoder, content, (mask, swapped), style, steps=30)
        output = image_of(last)
        assert output[..., :40].mean() < 0.3
        assert output[..., 56:].mean() > 0.7

    def test_own_encoder(self, encoder):
        class Counted(CompactEncoder):
            calls = 0

            def forward(self, image):
                Counted.calls += 1
                return super().forward(image)

        expected, _ = fit(encoder, steps=2)
        last, states = fit(None, steps=2, encoder=Counted())
        assert torch.equal(last.grid, expected.grid)
        assert Counted.calls == 2 + len(states)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"steps": 0}, "steps: expected an integer from 1 to 10000, got 0"),
            ({"matting_weight": -1.0}, "matting_weight: expected at least 0, got -1"),
            ({"smooth_radius": -1}, "smooth_radius: expected an integer from 0 to 1000, got -1"),
            ({"smooth_edge": 0.0}, "smooth_edge: expected a positive number, got 0"),
            ({"loss": grid_loss()}, "loss.photorealism: expected the matting energy, got GuidedPenalty()"),
        ],
    )
    def test_rejects_invalid_arguments(self, options, message):
        with pytest.raises(InputError) as error:
            PixelFit(**options)
        assert str(error.value) == message


class TestConfig:
    @staticmethod
    def composed(*overrides):
        with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
            return compose("fit", list(overrides)).fit

    def test_equals_the_defaults(self):
        config = self.composed("fit=pixels")
        loss = {key: value for key, value in config.loss.items() if key != "_target_"}
        assert loss == {key: entry.default for key, entry in inspect.signature(pixel_loss).parameters.items()}
        for key, entry in inspect.signature(PixelFit).parameters.items():
            if key not in ("loss", "on_step"):
                assert config[key] == entry.default, key
        assert set(config) == {"_target_"} | set(inspect.signature(PixelFit).parameters) - {"on_step"}

    def test_the_paper(self, tmp_path):
        torch.manual_seed(0)
        network = VGG19Network(["relu5_1"]).to_empty(device="cpu")
        for name, tensor in network.state_dict().items():
            torch.nn.init.kaiming_normal_(tensor) if name.endswith("weight") else torch.nn.init.zeros_(tensor)
        torch.save(network.state_dict(), tmp_path / "vgg19.pth")
        made = instantiate(self.composed("fit=paper", f"fit.encoder.weights={tmp_path / 'vgg19.pth'}", "fit.steps=2"))
        assert made.matting_weight == 1e4
        assert made.loss.style.taps == tuple(f"relu{block}_1" for block in range(1, 6))
        states = []
        made.on_step = lambda state: states.append(state)
        made.fit(CompactEncoder(), CONTENT, [StyleInput(STYLE)], [None])
        assert states[2].terms.total < states[0].terms.total
