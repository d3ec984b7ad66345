"""The user's folders of configurations come before this package's, wherever Hydra composes in this program."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from resnet_lab.config.groups import own_dirs


class OwnConfigurations(SearchPathPlugin):
    """Registered by hand, so that other programs of the environment are left alone."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in reversed(own_dirs()):
            search_path.prepend("own", f"file://{folder}")


def register() -> None:
    Plugins.instance().register(OwnConfigurations)
