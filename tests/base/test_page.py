import pytest
from jinja2 import UndefinedError

from base.page import data_uri, render

TEMPLATE = """{% extends "page.html.jinja" %}
{% from "parts.html.jinja" import bars, strip %}
{% block title %}{{ name }}{% endblock %}
{% block content %}{{ strip({name: 1234567 | number}) }}{{ bars({name: 3, "b": 1}) }}<img src="{{ uri }}">{% endblock %}
"""


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "report.html.jinja"
    path.write_text(TEMPLATE)
    return path


def test_whatever_is_inserted_is_escaped_in_text_and_attributes_and_inside_macros(template):
    page = render(template, name="<script>'\"&", uri='" onerror="x')
    assert "<script" not in page
    assert page.count("&lt;script&gt;&#39;&#34;&amp;") == 4
    assert 'onerror="' not in page


def test_a_page_loads_nothing_and_runs_nothing(template):
    page = render(template, name="a", uri=data_uri(b"\x89PNG", "image/png"))
    assert '<img src="data:image/png;base64,iVBORw==">' in page
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page


def test_numbers_have_separators_and_bars_their_share(template):
    page = render(template, name="a", uri="")
    assert "1,234,567" in page
    assert "width: 100.0%" in page
    assert "width: 33.3%" in page
    assert "25.0 %" in page


def test_a_value_that_the_template_wants_and_nobody_gave_is_an_error(template):
    with pytest.raises(UndefinedError, match="uri"):
        render(template, name="a")
