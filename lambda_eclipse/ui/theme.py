"""How the page looks: Gradio's theme, in colours that can be told apart; the rest is style.css."""

from pathlib import Path

import gradio as gr

STYLE = Path(__file__).parent / "browser" / "style.css"


def theme() -> gr.themes.Base:
    """Fonts of the visitor's own system, lines instead of shadows, nothing fainter than WCAG AA."""
    return gr.themes.Soft(
        primary_hue="orange",
        secondary_hue="indigo",
        neutral_hue="slate",
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    ).set(
        block_title_background_fill="transparent",
        block_title_padding="0",
        block_title_background_fill_dark="transparent",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_title_text_weight="600",
        block_label_background_fill="*block_background_fill",
        block_label_background_fill_dark="*block_background_fill",
        block_label_text_color="*body_text_color",
        block_label_text_color_dark="*body_text_color",
        block_label_text_weight="600",
        block_border_width="1px",
        block_shadow="none",
        # Words: 4.5 to 1 at least.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_300",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        button_secondary_background_fill_hover_dark="*neutral_500",
        checkbox_label_background_fill_selected="*primary_700",
        checkbox_label_background_fill_selected_dark="*primary_700",
        # What can be filled in or chosen: 3 to 1 at least.
        input_border_width="1px",
        input_border_color="#7f8ea3",
        input_border_color_dark="*neutral_400",
        checkbox_border_color="#7f8ea3",
        checkbox_border_color_dark="*neutral_400",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_500",
        button_primary_border_color="*primary_700",
        button_primary_border_color_dark="*primary_700",
        input_shadow="none",
        input_shadow_focus="none",
        button_secondary_shadow="none",
        button_secondary_shadow_hover="none",
        checkbox_label_shadow="none",
    )
