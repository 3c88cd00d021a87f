"""What needs the one who looks: runs to release, to finish and to correct, and everything in trouble."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request

from notifier.delivery.trouble import AccountProblem, list_account_problems
from notifier.domain.purpose import Purpose
from notifier.domain.run import RunState
from notifier.store.posts import PostTask, list_open_posts
from notifier.store.troubles import Trouble, list_troubles
from notifier.store.views import overview as view
from notifier.store.views.doubts import list_set_aside
from notifier.web.access.sessions import Visitor
from notifier.web.console.sentences import missing_inputs
from notifier.web.console.show import Page, open_page


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """By kind, each in the order of its urgency."""

    to_release: Sequence[view.OpenRun]  # the one who looks may, and made none of them
    returned: Sequence[view.OpenRun]
    waiting: Sequence[tuple[view.OpenRun, Sequence[str]]]  # with the labels of what they lack
    drafts: Sequence[view.OpenRun]  # of the one who looks
    awaiting: Sequence[view.OpenRun]  # another person's turn; to know, not to do
    to_review: Sequence[view.Unreviewed]
    unreviewed: Sequence[view.Unreviewed]  # another person's turn
    halted: Sequence[view.Halted]
    doubts: Sequence[view.Doubts]
    aside: int  # messages set aside that may still go
    troubles: Sequence[Trouble]
    posts: Sequence[PostTask]
    accounts: Sequence[AccountProblem]
    imports: Sequence[view.TroubledImport]

    @property
    def count(self) -> int:
        """How many things wait for the one who looks; what is another's turn is none of them."""
        lists = (self.to_release, self.returned, self.waiting, self.drafts, self.to_review, self.doubts, self.accounts)
        return (
            sum(map(len, lists))
            + len(self.halted)
            + len(self.posts)
            + len(self.imports)
            + bool(self.aside)
            + len(self.troubles)
        )

    @property
    def is_empty(self) -> bool:
        """Nothing to do and nothing to know."""
        return not (self.count or self.awaiting or self.unreviewed)


async def read_needs(request: Request, visitor: Visitor) -> Needs:
    """All of it, over transactions of its own: opening an account takes one."""
    problems = await list_account_problems(
        request.app.state.database, request.app.state.accounts, team_id=visitor.user.team_id
    )
    async with open_page(request, visitor) as page:
        return await _read(page, visitor, problems)


async def _read(page: Page, visitor: Visitor, problems: Sequence[AccountProblem]) -> Needs:
    runs = await view.list_open_runs(page.tx, page.team_id, visitor.user.id)
    reviews = await view.list_unreviewed(page.tx, page.team_id, visitor.user.id)
    submitted = [run for run in runs if run.state == "submitted"]
    drafts = [run for run in runs if run.state == "draft" and run.is_mine]
    to_release = [run for run in submitted if visitor.may_release and not run.is_mine]
    to_review = [review for review in reviews if visitor.may_release and not review.is_mine]
    return Needs(
        to_release=sorted(to_release, key=lambda run: run.purpose != Purpose.EMERGENCY or run.drill),
        returned=[run for run in drafts if run.returned],
        waiting=[(run, await _labels_missing(page, run)) for run in runs if run.state == "waiting"],
        drafts=[run for run in drafts if not run.returned],
        awaiting=[run for run in submitted if run not in to_release],
        to_review=to_review,
        unreviewed=[review for review in reviews if review not in to_review],
        halted=await view.list_halted(page.tx, page.team_id) if visitor.may_act else [],
        doubts=await view.list_doubts(page.tx, page.team_id),
        troubles=await list_troubles(page.tx, page.team_id),
        aside=sum(line.fresh for line in await list_set_aside(page.tx, page.team_id)),
        posts=[post for post in await list_open_posts(page.tx, page.team_id) if post.run_state == RunState.RUNNING],
        accounts=problems,
        imports=await view.list_troubled_imports(page.tx, page.team_id),
    )


async def _labels_missing(page: Page, run: view.OpenRun) -> list[str]:
    campaign = await page.catalogue.campaign_version(page.tx, run.campaign_id)
    return [page.say(campaign.inputs[name].label) for name in missing_inputs(campaign, run.inputs)]
