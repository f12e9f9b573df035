"""Ship methods/ and datasets/ inside the wheel; leave editable installs to read the checkout."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PluginFolders(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"].update(
                {f"{self.root}/{kind}": f"ltgen_bench/{kind}" for kind in ("methods", "datasets")}
            )
