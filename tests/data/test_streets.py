"""Street scenes: labels and motion are those of the geometry, and the seed decides everything."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from triptych.data.classes import CITYSCAPES
from triptych.data.streets import OBJECTS, Streets, object_crops, scene
from triptych.data.streets.camera import Camera, along, flow, paint, pose
from triptych.data.streets.faces import LABEL, SKY, Builder, rect
from triptych.errors import UserError

SIZE = (96, 192)
OBJECT_IDS = [LABEL[name] for name in OBJECTS]
SEEDS = range(6)


@pytest.fixture(scope="module")
def frames():
    """A frame of each of some scenes."""
    return [scene(seed, size=SIZE)[7 * seed] for seed in SEEDS]


def everything(frame):
    parts = (frame.image, frame.labels, frame.instances, frame.boxes, frame.classes, frame.flow)
    return [(part.dtype, part.shape, part.tobytes()) for part in parts]


# Seeds and access


def test_random_access_gives_the_bytes_of_the_drive_in_order():
    drive = scene(3, size=SIZE, frames=5)
    in_order = [everything(frame) for frame in drive]
    again = scene(3, size=SIZE, frames=30)
    assert [everything(again[t]) for t in (4, 0, 2, 1, 3)] == [in_order[t] for t in (4, 0, 2, 1, 3)]
    assert everything(drive[-1]) == in_order[4]
    assert in_order[0] != in_order[1]
    with pytest.raises(IndexError):
        drive[5]


def test_threads_change_nothing():
    alone = [everything(frame) for frame in scene(4, size=SIZE, frames=8)]
    shared = scene(4, size=SIZE, frames=8)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda t: everything(shared[t]), range(8))) == alone


def test_a_frame_far_down_the_road_needs_none_before_it():
    frame = scene(5, size=SIZE, frames=100_000)[90_000]
    assert len(np.unique(frame.labels)) > 5


def test_seeds_show_different_streets():
    assert len({scene(seed, size=SIZE)[0].image.tobytes() for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("size", [(97, 131), (33, 201), (1, 1), (240, 100)])
def test_odd_sizes(size):
    frame = scene(2, size=size)[1]
    assert frame.image.shape == (*size, 3)
    assert frame.labels.shape == frame.instances.shape == size
    assert frame.flow.shape == (*size, 2)
    assert np.isfinite(frame.flow).all()


def test_every_size_shows_the_same_scene():
    small, large = (scene(1, size=size)[20] for size in (SIZE, (192, 384)))
    assert (small.labels == large.labels[::2, ::2]).mean() > 0.93
    shrunk = cv2.resize(large.image, SIZE[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.image.astype(int) - shrunk).mean() < 10


# Labels, objects, light


def test_every_class_occurs_and_no_other():
    share = np.zeros(256)
    for seed in range(10):
        for time in (0, 40):
            labels = scene(seed, size=(144, 288))[time].labels
            share += np.bincount(labels.ravel(), minlength=256) / labels.size / 20
    assert share[19:].sum() == 0
    rare = {CITYSCAPES.names[k]: share[k] for k in range(19) if share[k] < 0.0005}
    assert not rare
    assert share.max() < 0.5


def test_an_object_has_one_class_and_only_objects_have_numbers(frames):
    for frame in frames:
        assert ((frame.instances > 0) == np.isin(frame.labels, OBJECT_IDS)).all()
        for number in np.unique(frame.instances):
            if number:
                assert len(np.unique(frame.labels[frame.instances == number])) == 1


def test_boxes_are_the_extent_of_the_instances(frames):
    for frame in frames:
        numbers = [number for number in np.unique(frame.instances) if number]
        assert len(numbers) > 3
        assert frame.boxes.dtype == np.float32
        assert frame.boxes.shape == (len(numbers), 4)
        for number, box, train_id in zip(numbers, frame.boxes, frame.classes, strict=True):
            rows, columns = np.nonzero(frame.instances == number)
            expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert box.tolist() == expected
            assert frame.labels[rows[0], columns[0]] == train_id


def test_objects_keep_their_numbers():
    drive = scene(8, size=SIZE)
    now, after = (set(np.unique(drive[t].instances).tolist()) - {0} for t in (10, 11))
    assert len(now & after) > 0.6 * len(now)


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_night_is_darker_than_dusk_and_dusk_than_day(seed):
    night, dusk, day = (scene(seed, size=SIZE, light=light)[6] for light in (0.0, 0.3, 1.0))
    assert night.image.mean() < 0.75 * dusk.image.mean() < 0.75 * day.image.mean()
    assert (night.labels == day.labels).all()
    assert (night.flow == day.flow).all()
    # Lamps and windows shine all the same.
    assert night.image.max() > 200


def test_the_sensor_is_noisier_at_night():
    def noise(light):
        frame = scene(1, size=SIZE, light=light)[0]
        return (frame.image.astype(int) - frame.picture(noise=False)).std()

    assert 0.5 < noise(1.0) < noise(0.0)


# Motion


def test_projection_by_hand():
    """f = 100, 101 x 201 pixels: 2 m to the right, 1 m up at depth 10 is (100 + 20, 50 - 10)."""
    lens = Camera(np.zeros(3), np.eye(3), 100.0, (101, 201))
    assert lens.pixels(np.array([2.0, 1.0, 10.0])).tolist() == [120.0, 40.0]


def test_the_road_bends_along_a_circle():
    x, z, heading = along(1 / 100, np.array([0.0, 50 * np.pi, 100 * np.pi]))
    assert np.allclose([x, z, heading], [[0, 100, 200], [0, 100, 0], [0, np.pi / 2, np.pi]])
    straight = along(0.0, np.array([7.0]))
    assert np.allclose(straight, [[0], [7], [0]])


def test_flow_of_a_moving_board_by_hand():
    """A board at 10 m drives 0.5 m ahead while the camera drives 2 m: it comes to 8.5 m."""
    b = Builder(np.random.default_rng(0), 0)
    b.stuff("sky").face(rect(-9, 9, -9, 9), (0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1), layer=SKY)
    b.at(10, 0, speed=0.5).thing("car").face(rect(-3, 3, -1, 3), (1, 1, 1))
    faces = b.faces()
    now, after = (Camera(np.array([0, 1.0, z]), np.eye(3), 100.0, (101, 201)) for z in (0.0, 2.0))
    before, moved = pose(faces.rows, 0.0, now, 0), pose(faces.rows, 0.0, after, 1)
    painting = paint(faces, before, now, 0.0)
    motion = flow(painting, faces, before.matrices, moved.matrices, now, after)
    assert painting.number[50, 120] == 1
    # 20 pixels right of the middle and 10 above it: 2 m and 1 m.
    assert np.allclose(motion[40, 120], [100 * 2 / 8.5 - 20, 10 - 100 * 1 / 8.5], atol=1e-4)
    assert painting.number[0, 0] == 0
    assert np.allclose(motion[0, 0], 0, atol=1e-5)


def ground_motion(drive, time):
    """Motion of every pixel as if the world were the plane y = 0, from the two cameras alone."""
    now, after = drive.camera(time), drive.camera(time + 1)
    height, width = now.size
    y, x = np.mgrid[0:height, 0:width]
    right, up = (x - (width - 1) / 2) / now.focal, ((height - 1) / 2 - y) / now.focal
    rays = np.stack([right, up, np.ones_like(right)], -1) @ now.axes
    points = now.position - rays * (now.position[1] / rays[..., 1:2])
    seen = (points - after.position) @ after.axes.T
    u = (width - 1) / 2 + after.focal * seen[..., 0] / seen[..., 2]
    v = (height - 1) / 2 - after.focal * seen[..., 1] / seen[..., 2]
    return np.stack([u - x, v - y], -1)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_ground_moves_as_the_plane_does(seed):
    drive = scene(seed, size=SIZE)
    frame = drive[9]
    ground = np.isin(frame.labels, [LABEL["road"], LABEL["sidewalk"]])
    error = np.abs(frame.flow - ground_motion(drive, 9)).max(-1)[ground]
    assert len(error) > 1000
    assert error.max() < 1e-3


@pytest.mark.parametrize("seed", SEEDS)
def test_the_sky_moves_by_the_turn_of_the_camera(seed):
    drive = scene(seed, size=SIZE)
    frame = drive[9]
    now, after = drive.camera(9), drive.camera(10)
    v, u = np.nonzero(frame.labels == LABEL["sky"])
    height, width = SIZE
    right, up = (u - (width - 1) / 2) / now.focal, ((height - 1) / 2 - v) / now.focal
    seen = np.stack([right, up, np.ones_like(right)], -1) @ now.axes @ after.axes.T
    moved = after.pixels(seen) - np.stack([u, v], -1)
    assert len(u) > 50
    assert np.abs(frame.flow[v, u] - moved).max() < 1e-3


def warped(source, motion, interpolation):
    height, width = motion.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = x + motion[..., 0], y + motion[..., 1]
    inside = (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)
    return cv2.remap(source, u, v, interpolation), inside


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_pixel_shows_is_found_again_where_the_flow_says(seed):
    drive = scene(seed, size=(192, 384), light=1.0)
    now, after = drive[14], drive[15]
    labels, inside = warped(after.labels, now.flow, cv2.INTER_NEAREST)
    assert inside.mean() > 0.6
    # The rest are edges and what is hidden in the next frame.
    assert (labels == now.labels)[inside].mean() > 0.94
    _, numbers = np.unique(np.stack([now.instances, after.instances]), return_inverse=True)
    before, then = numbers.reshape(2, *now.labels.shape).astype(np.int16)
    found, _ = warped(then, now.flow, cv2.INTER_NEAREST)
    assert (found == before)[inside & (now.instances > 0)].mean() > 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_flow_is_exact_to_a_fraction_of_a_pixel(seed):
    """The next picture, fetched by the flow, fits best with the flow as it is."""
    drive = scene(seed, size=(192, 384), light=1.0)
    now, after = drive[14], drive[15]
    first, second = (frame.picture(noise=False).astype(np.float32) for frame in (now, after))

    def misfit(right, down):
        picture, inside = warped(second, now.flow + np.float32([right, down]), cv2.INTER_LINEAR)
        return np.minimum(np.abs(picture - first).mean(-1), 20)[inside].mean()

    exact = misfit(0, 0)
    still = np.minimum(np.abs(second - first).mean(-1), 20).mean()
    assert exact < 0.6 * still
    for step in (0.4, -0.4):
        assert exact < misfit(step, 0)
        assert exact < misfit(0, step)


# The data set and the crops


def test_splits_share_no_scene_and_keys_are_unique():
    splits = [Streets(split, scenes=3, frames_per_scene=4, size=SIZE) for split in
              ("train", "val", "test")]  # fmt: skip
    splits.append(Streets("train", scenes=3, frames_per_scene=4, size=SIZE, seed=1))
    groups = [set(split.groups) for split in splits]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 12
    for split in splits:
        assert len(split) == len(split.keys) == len(set(split.keys)) == len(split.groups) == 12
        assert all(
            key.startswith(f"{group}_f")
            for key, group in zip(split.keys, split.groups, strict=True)
        )
    assert splits[0].keys[:5] == ("s0000_f000", "s0000_f012", "s0000_f024", "s0000_f036",
                                  "s0001_f000")  # fmt: skip


def test_a_split_loads_its_scenes_frames():
    data = Streets("train", scenes=2, frames_per_scene=3, size=SIZE)
    image, labels = data.load(4)
    frame = scene(1, size=SIZE)[16]
    assert data.keys[4] == "s0001_f016"
    assert (image == frame.image).all()
    assert (labels == frame.labels).all()
    copy = pickle.loads(pickle.dumps(data))
    assert (copy.load(4)[0] == image).all()


def test_more_frames_than_a_drive_has_are_all_different():
    data = Streets("val", scenes=1, frames_per_scene=60, size=SIZE)
    assert len(set(data.keys)) == 60
    data.load(59)


def test_the_fingerprint_tells_data_apart():
    choices = [
        {}, {"split": "val"}, {"scenes": 3}, {"frames_per_scene": 3}, {"size": (48, 96)},
        {"seed": 1},
    ]  # fmt: skip
    small = {"scenes": 2, "frames_per_scene": 2, "size": SIZE}
    prints = [Streets(**(small | choice)).fingerprint() for choice in choices]
    assert len(set(prints)) == len(choices)
    assert prints[0] == Streets(**small).fingerprint()


@pytest.mark.parametrize(
    "wrong",
    [{"split": "valid"}, {"scenes": 0}, {"frames_per_scene": 0}, {"size": (0, 10)}, {"seed": -1}],
)
def test_wrong_choices_are_refused(wrong):
    with pytest.raises(UserError) as error:
        Streets(**wrong)
    assert "\n" not in str(error.value)


def test_crops_are_balanced_and_repeatable():
    pictures, labels, names = object_crops(23, seed=5, size=24)
    assert pictures.shape == (23, 24, 24, 3)
    assert pictures.dtype == np.uint8
    assert labels.dtype == np.int64
    counts = np.bincount(labels, minlength=len(names))
    assert len(names) == 10
    assert set(counts.tolist()) <= {2, 3}
    again = object_crops(23, seed=5, size=24)
    assert (again[0] == pictures).all()
    assert (again[1] == labels).all()
    other = object_crops(10, seed=6, size=24)[0]
    assert not {crop.tobytes() for crop in other} & {crop.tobytes() for crop in pictures}
