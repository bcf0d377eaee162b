from typing import Annotated, Any, Literal, get_type_hints

import pytest
import torch
from pydantic import Field

from lookcast.checks import InputError, ShapeError, check_call, check_image, check_mask, check_shape, describe


class TestShapeError:
    def test_known_value(self):
        error = ShapeError("grid", "(B, 12, D, GH, GW)", torch.Size((2, 3)))
        assert (error.name, error.expected, error.actual) == ("grid", "(B, 12, D, GH, GW)", (2, 3))
        assert str(error) == "grid: expected shape (B, 12, D, GH, GW), got (2, 3)"

    def test_is_an_input_error(self):
        assert issubclass(ShapeError, InputError)
        assert issubclass(InputError, ValueError)


class TestDescribe:
    def test_known_value(self):
        assert describe(torch.zeros(2, 3)) == "a tensor of (2, 3)"
        assert describe("photo.jpg") == "str"
        assert describe(None) == "NoneType"


class TestCheckShape:
    @pytest.mark.parametrize("shape", [(1, 3, 4, 5), (7, 3, 1, 1), (0, 3, 4, 5)])
    def test_accepts_free_sizes(self, shape):
        assert check_shape("image", torch.zeros(shape), ("B", 3, "H", "W")) is None

    @pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 4, 5), (1, 3, 4, 5, 6), ()])
    def test_rejects_other_shapes(self, shape):
        with pytest.raises(ShapeError) as error:
            check_shape("image", torch.zeros(shape), ("B", 3, "H", "W"))
        assert str(error.value) == f"image: expected shape (B, 3, H, W), got {shape}"

    def test_rejects_what_is_no_tensor(self):
        with pytest.raises(InputError, match="image: expected a tensor, got list"):
            check_shape("image", [1, 2], ("N",))


class TestCheckImage:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_accepts_floating_point(self, dtype):
        assert check_image("content", torch.zeros(2, 3, 4, 5, dtype=dtype)) is None

    def test_rejects_integers(self):
        with pytest.raises(InputError, match=r"content: expected floating point in \[0, 1\], got torch.uint8"):
            check_image("content", torch.zeros(2, 3, 4, 5, dtype=torch.uint8))

    def test_rejects_other_channels(self):
        with pytest.raises(ShapeError, match="content: expected shape"):
            check_image("content", torch.zeros(2, 4, 4, 5))


class TestCheckMask:
    def test_accepts_any_number_of_labels(self):
        image = torch.zeros(2, 3, 4, 5)
        for labels in (1, 9):
            assert check_mask("content_mask", torch.zeros(2, labels, 4, 5), image) is None

    @pytest.mark.parametrize("shape", [(1, 9, 4, 5), (2, 9, 5, 4), (2, 4, 5)])
    def test_rejects_masks_of_another_image(self, shape):
        with pytest.raises(ShapeError, match=r"content_mask: expected shape \(2, K, 4, 5\)"):
            check_mask("content_mask", torch.zeros(shape), torch.zeros(2, 3, 4, 5))


class Window:
    @check_call
    def __init__(
        self,
        size: Annotated[int, Field(ge=16, le=64)],
        scale: tuple[float, float] = (0.5, 1.0),
        mode: Literal["near", "far"] = "near",
        grade: Annotated[float, Field(allow_inf_nan=False)] = 0.0,
        **options: Any,
    ) -> None:
        """The constructor's own docstring."""
        self.size, self.scale, self.options = size, scale, options


class TestCheckCall:
    def test_known_value(self):
        window = Window(16, [0.2, 1], mode="far", depth=3)
        assert (window.size, window.scale, window.options) == (16, (0.2, 1.0), {"depth": 3})
        assert Window.__init__.__doc__ == "The constructor's own docstring."
        assert get_type_hints(Window.__init__)["size"] is int  # a config is compared with them

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"size": 3}, "size: expected at least 16, got 3"),
            ({"size": 65}, "size: expected at most 64, got 65"),
            ({"size": "a"}, "size: expected a valid integer, unable to parse string as an integer, got 'a'"),
            ({"size": 16, "scale": (0.5, "b")}, "scale.1: expected a valid number, unable to parse string as a number"),
            ({"size": 16, "scale": 3}, "scale: expected a list, got 3"),
            ({"size": 16, "mode": "off"}, "mode: expected 'near' or 'far', got 'off'"),
            ({"size": 16, "grade": float("nan")}, "grade: expected a finite number, got nan"),
            ({"size": 3, "mode": "off"}, "size: expected at least 16, got 3; mode: expected 'near' or 'far', got"),
        ],
    )
    def test_rejects_what_the_annotations_exclude(self, arguments, message):
        with pytest.raises(InputError) as error:
            Window(**arguments)
        assert str(error.value).startswith(message)
        assert "\n" not in str(error.value)

    def test_rejects_missing_and_unknown_arguments(self):
        @check_call
        def double(size: int) -> int:
            return 2 * size

        with pytest.raises(InputError, match=r"^sise: unknown argument$"):
            double(size=1, sise=2)
        with pytest.raises(InputError, match=r"^size: expected a value, got none$"):
            double()

    def test_rejections_name_arguments_given_by_position(self):
        with pytest.raises(InputError, match=r"^size: expected at least 16, got 3$"):
            Window(3)

    def test_errors_of_the_function_pass_through(self):
        @check_call
        def fail(number: int) -> None:
            raise KeyError(number)

        with pytest.raises(KeyError):
            fail(3)
