"""The self-checks of the labs, a module each. A check looks at the answer or asks the service; no
more. Importing the package registers all of them."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
