"""What a fetch still has to ask a service for, company by company: nothing twice, and on with the rest the next day."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator

from quiebra.errors import FetchError
from quiebra.params import MarketService
from quiebra.sources.market_services import MarketSource, company_answer, is_without_data
from quiebra.sources.raw_store import RawStore


class CompanyQueue:
    """What is still to be asked for. refresh: what came before ``today`` is asked for again, the oldest first."""

    def __init__(self, store: RawStore, service: MarketSource, options: MarketService, today: dt.date, refresh: bool) -> None:
        if not options.symbols:
            raise FetchError(f"ingest.{service.name}.symbols names no company: put tickers there")
        self.store, self.service, self.symbols, self.today, self.refresh = store, service, options.symbols, today, refresh

    def is_fresh(self, name: str) -> bool:
        """Return whether an answer is there, and need not be asked for again."""
        answer = self.store.answer(name)
        return answer is not None and name in self.store and not (self.refresh and answer.at[:10] < str(self.today))

    def fetch(self, ask: Callable[[str, str], str | None]) -> Iterator[str]:
        """Ask for what is left of each company, and yield a line about each, and one on all.

        ask: gets an answer, of a company and by its name, into the store, or returns why it cannot be had.
        """
        with self.telling_progress():
            for symbol in self._in_order():
                yield f"{symbol}: {self._fetch_company(symbol, ask)}"
        yield self._progress()

    @contextlib.contextmanager
    def telling_progress(self) -> Iterator[None]:
        """Add to a FetchError how many companies are complete."""
        try:
            yield
        except FetchError as error:
            raise type(error)(f"{str(error).rstrip('.')}. {self._progress()}") from None

    def _in_order(self) -> list[str]:
        if not self.refresh:
            return self.symbols
        answers = {symbol: self.store.answer(company_answer(symbol, self.service.answers[0])) for symbol in self.symbols}
        return sorted(self.symbols, key=lambda symbol: answer.at if (answer := answers[symbol]) else "")

    def _fetch_company(self, symbol: str, ask: Callable[[str, str], str | None]) -> str:
        asked = 0
        for name in self._left(symbol):
            if asked and is_without_data(self.store, self.service, symbol):
                break
            if why := ask(symbol, name):
                return why
            asked += 1
        if is_without_data(self.store, self.service, symbol):
            return "no data"
        return f"{asked} {'answer' if asked == 1 else 'answers'}" if asked else "there already"

    def _left(self, symbol: str) -> list[str]:
        first = company_answer(symbol, self.service.answers[0])
        if self.is_fresh(first) and is_without_data(self.store, self.service, symbol):
            return []
        return [name for name in self.service.answers if not self.is_fresh(company_answer(symbol, name))]

    def _progress(self) -> str:
        done = sum(not self._left(symbol) for symbol in self.symbols)
        none = [symbol for symbol in self.symbols if is_without_data(self.store, self.service, symbol)]
        lacking = f"; without data: {', '.join(none)}" if none else ""
        return f"{done} of {len(self.symbols)} companies are complete{lacking}."
