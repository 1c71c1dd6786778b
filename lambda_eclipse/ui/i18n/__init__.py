"""The page in the language of each request: `t("English template with {fields}", fields=…)`."""

from lambda_eclipse.ui.i18n.translation import LazyText, localize, mark, t, translate

__all__ = ["LazyText", "localize", "mark", "t", "translate"]
