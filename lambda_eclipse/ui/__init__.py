"""The page: a Gradio shell around the pipeline. Importing it loads no model library."""
