from pathlib import Path

import pytest

from crqat_pipeline.inference.address import Address, read_given


def test_paths_and_addresses_are_told_apart():
    paths, addresses = read_given(("a.png", "https://x.org/b.png?c=1", "camera:0", "rtsp://u:p@cam/1", "camera/0.png"))
    assert paths == [Path("a.png"), Path("camera/0.png")]
    assert [str(address) for address in addresses] == ["https://x.org/b.png?c=1", "camera:0", "rtsp://u:p@cam/1"]
    assert [address.is_live for address in addresses] == [False, True, True]
    assert [address.camera for address in addresses] == [None, 0, None]
    assert [address.name for address in addresses] == [Path("b.png"), Path("camera_0"), Path("cam_1")]
    with pytest.raises(ValueError, match=r"An address begins with http.*got ftp://x/y"):
        read_given(("ftp://x/y",))


@pytest.mark.parametrize(
    ("text", "name"),
    [("https://x.org/", "picture"), ("https://x.org/%2e%2e%2f.hidden", "hidden"), ("https://x/é b", "é_b")],
)
def test_names_of_results_are_plain_file_names(text, name):
    assert Address(text).name == Path(name)
