"""Where published files are listed, and where they go."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class PublishedSpec(BaseModel):
    """A download that an environment offers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: Path = Field(description="JSON list of addresses, sizes and digests (file_list.py)")
    folder: Path = Field(description="Where they go; what is there already is checked and not fetched again")
    given: Path | None = Field(
        default=None, description="A folder of the user's that holds them: nothing is fetched, nothing written there"
    )

    @property
    def is_fetched(self) -> bool:
        return self.given is None
