import inspect

import pytest
import torch

from lookcast.checks import InputError
from lookcast.encoders.compact import CompactEncoder
from lookcast.fitting.look_fit import WINDOW, LookFit
from lookcast.fitting.losses import grid_loss
from lookcast.fitting.pair_loss import PairLoss, fit_size
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.resize import resize_image
from lookcast.structures import StyleInput
from tests.samples import photo

CONTENT, OTHER = (resize_image(photo(name, whole=True).float(), 64, 96) for name in ("coffee", "astronaut"))
DARKER = 0.6 * CONTENT + 0.05
"""A style whose look is known: the content after one affine map, which a grid can hold."""


@pytest.fixture(scope="module")
def encoder():
    return CompactEncoder()


def fit(encoder, style=DARKER, content=CONTENT, mask=(None, None), cells=4, **options):
    """Fit from the identity; return the grid and the steps that were reported."""
    steps = []
    made = LookFit(**{"steps": 12, "on_step": lambda step: steps.append(step), **options})
    state = made.fit(encoder, content, [StyleInput(style, mask[1])], [mask[0]], identity_grid(1, 4, cells, cells))
    return state.grid, steps


class TestLookFit:
    def test_finds_a_known_look(self, encoder):
        grid, steps = fit(encoder, steps=60, loss=grid_loss(color_weight=1.0, photorealism_weight=0.0))
        before = (CONTENT - DARKER).abs().mean()
        after = (apply_grid(grid, CONTENT) - DARKER).abs().mean()
        assert after < 0.4 * before
        assert steps[-1].terms.total < 0.5 * steps[0].terms.total

    def test_the_own_style_stays(self, encoder):
        # The loss of the unchanged photo is 0 up to rounding, so no step lowers it.
        grid, _ = fit(encoder, style=CONTENT, steps=5)
        assert torch.equal(grid, identity_grid(1, 4, 4, 4))

    def test_reports_each_step(self, encoder):
        grid, steps = fit(encoder, steps=4)
        assert [(step.step, step.steps) for step in steps] == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
        assert torch.equal(steps[0].grid, identity_grid(1, 4, 4, 4))
        assert torch.equal(steps[-1].grid, grid)
        totals = [float(step.terms.total) for step in steps]
        assert totals == sorted(totals, reverse=True)  # each state has the lowest loss so far
        assert totals[-1] < totals[0]
        assert steps[0].content.shape == (1, 3, *fit_size(*CONTENT.shape[-2:], 320))
        assert not grid.requires_grad

    def test_ends_when_asked(self, encoder):
        steps = []

        def stop(step):
            steps.append(step)
            return step.step == 3

        fit(encoder, on_step=stop)
        assert [step.step for step in steps] == [0, 1, 2, 3]

    def test_ends_when_settled(self, encoder):
        _, steps = fit(encoder, steps=WINDOW + 5, tolerance=0.99)
        assert steps[-1].step == WINDOW
        _, steps = fit(encoder, steps=WINDOW + 5, tolerance=0.0)
        assert steps[-1].step == WINDOW + 5

    def test_repeats_to_the_bit(self, encoder):
        torch.manual_seed(1)
        first, _ = fit(encoder, steps=3)
        state = torch.get_rng_state()
        torch.manual_seed(2)
        assert torch.equal(fit(encoder, steps=3)[0], first)
        torch.manual_seed(1)
        assert torch.equal(torch.get_rng_state(), state)  # the global generator is not used

    def test_masks_pair_the_regions(self, encoder):
        # The left half takes the dark half of the style, the right half takes the bright half.
        content = torch.full((1, 3, 64, 64), 0.5)
        style = torch.cat([torch.full((1, 3, 64, 32), 0.8), torch.full((1, 3, 64, 32), 0.2)], 3)
        mask = torch.zeros(1, 2, 64, 64)
        mask[:, 0, :, :32], mask[:, 1, :, 32:] = 1, 1
        free = grid_loss(color_weight=1.0, smoothness_weight=0.0, flatness_weight=0.0, photorealism_weight=0.0)
        grid, _ = fit(encoder, style, content, (mask, mask.flip(1)), steps=40, loss=free)
        output = apply_grid(grid, content)
        assert abs(float(output[..., :24].mean()) - 0.2) < 0.1
        assert abs(float(output[..., 40:].mean()) - 0.8) < 0.1

    def test_weights_of_styles(self, encoder):
        def first_loss(*styles):
            pair = PairLoss(grid_loss(), encoder, CONTENT, styles, [None] * len(styles), 320)
            return pair.terms(identity_grid(1, 4, 4, 4))

        one, other = first_loss(StyleInput(DARKER)), first_loss(StyleInput(OTHER))
        both = first_loss(StyleInput(DARKER, weight=1.0), StyleInput(OTHER, weight=3.0))
        # Float32: sums of some thousand terms.
        assert float(both.style) == pytest.approx(0.25 * float(one.style) + 0.75 * float(other.style), rel=1e-4)

    def test_in_inference_mode(self, encoder):
        expected, _ = fit(encoder, steps=2)
        with torch.inference_mode():
            assert torch.equal(fit(encoder, steps=2)[0], expected)

    def test_starts_from_the_identity(self, encoder):
        predicted = 2 * identity_grid(1, 4, 4, 4)
        grids = []
        for start in ("prediction", "identity"):
            made = LookFit(steps=1, start=start, on_step=lambda state: grids.append(state.grid) or True)
            made.fit(encoder, CONTENT, [StyleInput(DARKER)], [None], predicted)
        assert torch.equal(grids[0], predicted)
        assert torch.equal(grids[1], identity_grid(1, 4, 4, 4))

    def test_encoder_in_half_precision(self, encoder):
        expected, _ = fit(encoder, steps=2)
        half = CompactEncoder()
        half.half_precision = True
        assert torch.equal(fit(half, steps=2)[0], expected)
        assert half.half_precision

    def test_steps_back_from_a_loss_that_is_not_finite(self, encoder):
        loss = grid_loss()
        calls = []

        def broken(*arguments):
            calls.append(len(calls))
            terms = loss.compare(*arguments)
            return terms._replace(total=terms.total * float("nan")) if calls[-1] == 1 else terms

        class Broken(torch.nn.Module):
            color = loss.color
            targets = loss.targets
            compare = staticmethod(broken)

        _, steps = fit(encoder, steps=12, loss=Broken())
        assert steps[1].terms.total == steps[0].terms.total
        assert steps[-1].terms.total < 0.98 * steps[0].terms.total

    def test_rejects_a_loss_that_is_not_finite_at_the_start(self, encoder):
        with pytest.raises(InputError, match="loss: nan at the start of the fit"):
            fit(encoder, content=torch.full((1, 3, 64, 64), float("nan")))

    @pytest.mark.parametrize(
        ("styles", "masks", "message"),
        [
            ([], [], "styles: expected one content mask or None for each, got 0 and 0"),
            ([StyleInput(DARKER)], [], "styles: expected one content mask or None for each, got 1 and 0"),
            ([StyleInput(DARKER)], [torch.ones(1, 1, 8, 8)], "mask"),
            ([StyleInput(DARKER.expand(2, -1, -1, -1))], [None], "style"),
        ],
    )
    def test_rejects_pairs(self, encoder, styles, masks, message):
        with pytest.raises(InputError, match=message):
            LookFit(steps=1).fit(encoder, CONTENT, styles, masks, identity_grid(1, 4, 4, 4))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"steps": 0}, "steps: expected an integer from 1 to 10000, got 0"),
            ({"steps": 2.5}, "steps: expected an integer from 1 to 10000, got 2.5"),
            ({"max_side": 8}, "max_side: expected an integer from 32 to 8192, got 8"),
            ({"cells": ()}, "cells: expected numbers, got none"),
            ({"cells": (4, 0)}, "cells: expected an integer from 1 to 128, got 0"),
            ({"history": 0}, "history: expected an integer from 1 to 100, got 0"),
            ({"start": "zero"}, "start: expected one of prediction, identity, got 'zero'"),
            ({"tolerance": float("nan")}, r"tolerance: expected a number in \[0, 1\), got nan"),
        ],
    )
    def test_rejects_invalid_arguments(self, options, message):
        with pytest.raises(InputError, match=f"^{message}$"):
            LookFit(**options)


class TestConfig:
    def test_equals_the_defaults(self):
        from hydra import compose, initialize_config_dir

        from lookcast.paths import shipped

        with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
            config = compose("fit").fit
        loss = {key: value for key, value in config.loss.items() if key != "_target_"}
        assert loss == {key: entry.default for key, entry in inspect.signature(grid_loss).parameters.items()}
        for key, entry in inspect.signature(LookFit).parameters.items():
            if key not in ("loss", "on_step"):
                value = config[key]
                assert (tuple(value) if key == "cells" else value) == entry.default, key
        assert set(config) == {"_target_"} | set(inspect.signature(LookFit).parameters) - {"on_step"}
