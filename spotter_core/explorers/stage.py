"""What of a picture moves is drawn over what stands still, which is kept as pixels.

Layer 10. Axes, ticks and labels cost four fifths of a drawing; a slider that moves a few marks need
not wait for them.
"""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure


class Stage:
    """A figure whose moving parts can be drawn alone.

    Args:
        figure: On any canvas; one that keeps no pixels is drawn whole every time.
        moving: Returns the artists that move, from the back to the front.
        changing: Returns those that change now and then, all behind the moving ones.
    """

    def __init__(
        self,
        figure: Figure,
        moving: Callable[[], Sequence[Artist]],
        changing: Callable[[], Sequence[Artist]] = tuple,
    ) -> None:
        self.figure, self._moving, self._changing = figure, moving, changing
        self._bare: Any = None  # neither what changes nor what moves
        self._kept: Any = None  # all but what moves
        self._live = False

    def go_live(self) -> None:
        """Keep what stands still from now on; called once the figure has its canvas.

        Nothing is drawn: ipympl's page asks for its first picture, and loses one that comes before.
        """
        self._live = True
        self._animate()
        self.figure.canvas.mpl_connect("draw_event", self._keep)

    def draw(self) -> None:
        """Draw everything: something changed that does not only move."""
        if self._live:
            self._animate()
        self.figure.canvas.draw()

    def move(self) -> None:
        """Draw the moving parts over what is kept."""
        canvas: Any = self.figure.canvas
        if self._kept is None:
            self.draw()
            return
        canvas.restore_region(self._kept)
        self._draw_moving()
        canvas.blit(self.figure.bbox)

    def change(self) -> None:
        """Draw what changes, and the moving parts over it."""
        canvas: Any = self.figure.canvas
        if self._bare is None:
            self.draw()
            return
        canvas.restore_region(self._bare)
        self._draw_changing()
        canvas.blit(self.figure.bbox)

    def _animate(self) -> None:
        for artist in (*self._changing(), *self._moving()):
            artist.set_animated(True)

    def _keep(self, event: Any) -> None:
        canvas: Any = self.figure.canvas
        if canvas.is_saving():
            return
        self._bare = canvas.copy_from_bbox(self.figure.bbox)
        self._draw_changing()

    def _draw_changing(self) -> None:
        self._draw(self._changing())
        canvas: Any = self.figure.canvas
        self._kept = canvas.copy_from_bbox(self.figure.bbox)
        self._draw_moving()

    def _draw_moving(self) -> None:
        self._draw(self._moving())

    def _draw(self, artists: Sequence[Artist]) -> None:
        renderer = self.figure.canvas.get_renderer()  # type: ignore[attr-defined]
        for artist in artists:
            artist.set_animated(True)
            artist.draw(renderer)
