"""Translations: a table for each language, with the keys and the fields of the English one."""
