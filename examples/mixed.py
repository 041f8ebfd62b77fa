"""Steps of Couler's own among components, in both directions, and an exit handler with an argument."""

import couler.argo as couler
from steps import count_to, say

from argosy import pipeline


def roll() -> None:
    """The source of a script step: Couler takes the text of this function."""
    print(4)


@pipeline()
def mixed(who: str = "team") -> None:
    """A component feeds a plain container, a plain script feeds a component."""
    numbers = count_to(last=2)
    couler.run_container(
        image="alpine:3.20",
        command=["sh", "-c", 'echo "there are $0"'],
        args=[numbers.count],
        step_name="plain-container",
    )
    rolled = couler.run_script(
        image="python:3.11-slim", command="python", source=roll, step_name="plain-script"
    )
    say(text=rolled)
    couler.set_exit_handler(couler.WFStatus.Succeeded, lambda: say.options(name="tell")(text=f"done, {who}"))
    couler.set_exit_handler(couler.WFStatus.Failed, lambda: say.options(name="alarm")(text=f"help, {who}"))
