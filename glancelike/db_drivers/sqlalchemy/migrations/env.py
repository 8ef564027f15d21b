"""How alembic runs here: on the connection that schema.py hands over, inside its transaction."""

from alembic import context

connection = context.config.attributes['connection']
context.configure(connection=connection, transactional_ddl=connection.dialect.name != 'mysql')
context.run_migrations()
