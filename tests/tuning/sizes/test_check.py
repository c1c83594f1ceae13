from tuning.sizes.check import Limits, Size, SizeCheck, bytes_text


def test_a_trial_is_impossible_where_it_can_not_be_built_or_alone_exceeds_a_limit():
    size = Size(parameters=13_107_200, memory=3 * 2**30)
    assert Limits().why_not(size) == ""
    assert Limits(parameters=13_107_200, memory=3 * 2**30).why_not(size) == ""
    assert Limits(parameters=2_000_000).why_not(size) == (
        "Expected at most 2,000,000 parameters. Received: parameters=13,107,200."
    )
    assert Limits(memory=3 * 2**29).why_not(size) == (
        "Expected a step of training that holds at most 1.5 GiB. Received: memory=3.0 GiB."
    )
    assert Limits().why_not(Size(error="Expected fewer --blocks.")) == "Expected fewer --blocks."


def test_what_no_size_depends_on_is_not_asked_again_and_an_open_question_is():
    asked = []

    def ask(recipe):
        asked.append(recipe)
        return None if recipe["blocks"] == 9 else Size(parameters=recipe["blocks"])

    check = SizeCheck(ask, Limits(parameters=3), added={"replicas": 2}, unimportant={"seed"})
    recipes = [{"blocks": blocks, "seed": seed} for blocks in (3, 4, 9) for seed in (0, 1)]
    said = [check.why_impossible(recipe) for recipe in recipes]
    too_many = "Expected at most 3 parameters. Received: parameters=4."
    assert said == ["", "", too_many, too_many, "", ""]
    assert asked == [{**recipe, "replicas": 2} for recipe in (recipes[0], recipes[2], *recipes[4:])]


def test_bytes_are_said_in_units_that_can_be_read():
    assert [bytes_text(count) for count in (1023, 3 * 2**19, 5 * 2**40)] == ["1,023 B", "1.5 MiB", "5,120.0 GiB"]
