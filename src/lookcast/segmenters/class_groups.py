"""Groups of class names. A region of the content and a region of the style correspond if their group is the same."""

GROUPS: dict[str, tuple[str, ...]] = {
    "sky": ("sky",),
    "water": ("water", "sea", "river", "lake", "waterfall", "swimming pool", "fountain"),
    "vegetation": ("tree", "grass", "plant", "palm", "flower", "field", "vegetation", "terrain"),
    "mountain": ("mountain", "hill", "rock"),
    "ground": (
        *("road", "sidewalk", "path", "runway", "dirt track", "earth", "land", "sand", "floor", "rug"),
        *("stairs", "stairway", "step", "pier", "stage"),
    ),
    "building": (
        *("building", "house", "skyscraper", "tower", "hovel", "bridge", "grandstand", "booth", "awning", "canopy"),
        *("tent", "windowpane", "window", "column", "railing", "bannister", "fence"),
    ),
    "wall": ("wall", "ceiling", "door", "screen door", "curtain", "blind", "painting", "mirror", "poster"),
    "person": ("person", "rider", "apparel"),
    "animal": ("animal",),
    "vehicle": (
        *("car", "bus", "truck", "van", "boat", "ship", "airplane", "minibike", "bicycle", "train", "motorcycle"),
    ),
    "furniture": (
        *("bed", "cabinet", "table", "chair", "sofa", "shelf", "armchair", "seat", "desk", "wardrobe", "bathtub"),
        *("cushion", "chest of drawers", "counter", "sink", "fireplace", "refrigerator", "case", "pool table"),
        *("pillow", "bookcase", "coffee table", "toilet", "bench", "countertop", "stove", "kitchen island"),
        *("swivel chair", "bar", "ottoman", "buffet", "stool", "cradle", "oven", "washer", "dishwasher", "blanket"),
    ),
}
"""For each group, its class names in ADE20K and Cityscapes. As in Luan et al., sea, river and lake are water."""

OTHER = "other"
"""The group of the classes that are not in `GROUPS`."""

GROUP_NAMES = (*GROUPS, OTHER)
_GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}


def group_of(name: str) -> str:
    """Return the group of a class name.

    If a name lists synonyms, such as `building;edifice` or `door, double door`, the first synonym found in `GROUPS`
    decides.

    Args:
        name: class name from a checkpoint. Case and surrounding spaces are ignored.

    Returns:
        One of `GROUP_NAMES`.

    Example:
        >>> group_of("Sea "), group_of("house;dwelling"), group_of("flag")
        ('water', 'building', 'other')
    """
    synonyms = (synonym.strip().lower() for synonym in name.replace(";", ",").split(","))
    return next((_GROUP_OF[synonym] for synonym in synonyms if synonym in _GROUP_OF), OTHER)
