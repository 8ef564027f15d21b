"""Nothing to remove in the first release; later ones build on this."""

revision = 'g2026_1_contract01'
down_revision = None
branch_labels = ('contract',)
depends_on = ('g2026_1_expand01',)


def upgrade():
    """Nothing."""
