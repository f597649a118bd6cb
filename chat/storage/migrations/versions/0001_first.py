"""The first schema."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    op.create_table('meta',
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('value', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('key')
    )
    op.create_table('presence_log',
    sa.Column('n', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Text(), nullable=False),
    sa.Column('online', sa.Integer(), nullable=False),
    sa.Column('at_ms', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('n'),
    sqlite_autoincrement=True
    )
    op.create_index(op.f('ix_presence_log_at_ms'), 'presence_log', ['at_ms'], unique=False)
    op.create_table('processes',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('lease_until_ms', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_table('room_log',
    sa.Column('room_id', sa.Text(), nullable=False),
    sa.Column('rev', sa.Integer(), nullable=False, comment='dense per room from 1'),
    sa.Column('at_ms', sa.Integer(), nullable=False),
    sa.Column('op', sa.Text(), nullable=False, comment='message, add, remove, join, leave, rename, delete, owner'),
    sa.Column('user_id', sa.Text(), nullable=True, comment='whom it concerns'),
    sa.Column('message_id', sa.Text(), nullable=True),
    sa.Column('emoji', sa.Text(), nullable=True),
    sa.Column('count', sa.Integer(), nullable=True, comment='of the emoji, as of this rev'),
    sa.Column('name', sa.Text(), nullable=True, comment='of the room, after a rename'),
    sa.PrimaryKeyConstraint('room_id', 'rev'),
    sqlite_with_rowid=False
    )
    op.create_table('user_log',
    sa.Column('user_id', sa.Text(), nullable=False),
    sa.Column('n', sa.Integer(), nullable=False, comment='dense per user from 1'),
    sa.Column('at_ms', sa.Integer(), nullable=False),
    sa.Column('op', sa.Text(), nullable=False),
    sa.Column('room_id', sa.Text(), nullable=True),
    sa.Column('rev', sa.Integer(), nullable=True),
    sa.Column('read_seq', sa.Integer(), nullable=True),
    sa.Column('unread', sa.Integer(), nullable=True),
    sa.Column('session_id', sa.Text(), nullable=True),
    sa.Column('connection_id', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('user_id', 'n'),
    sqlite_with_rowid=False
    )
    op.create_index(op.f('ix_user_log_at_ms'), 'user_log', ['at_ms'], unique=False)
    op.create_table('users',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('username', sa.Text(), nullable=True, comment='null: erased'),
    sa.Column('username_key', sa.Text(), nullable=True, comment='null: erased, so the name is free'),
    sa.Column('username_skeleton', sa.Text(), nullable=True, comment='UTS #39, of what readers see'),
    sa.Column('key_version', sa.Integer(), nullable=False),
    sa.Column('password_hash', sa.Text(), nullable=True),
    sa.Column('created_ms', sa.Integer(), nullable=False),
    sa.Column('last_active_ms', sa.Integer(), nullable=True, comment='null: never connected'),
    sa.Column('disabled_ms', sa.Integer(), nullable=True),
    sa.Column('erased_ms', sa.Integer(), nullable=True),
    sa.Column('log_n', sa.Integer(), server_default=sa.text('0'), nullable=False, comment="head of the user's own log"),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('username_key'),
    sa.UniqueConstraint('username_skeleton')
    )
    op.create_table('invites',
    sa.Column('hash', sa.LargeBinary(), nullable=False, comment='SHA-256'),
    sa.Column('created_ms', sa.Integer(), nullable=False),
    sa.Column('expires_ms', sa.Integer(), nullable=False),
    sa.Column('used_by', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['used_by'], ['users.id'], ),
    sa.PrimaryKeyConstraint('hash')
    )
    op.create_table('presence',
    sa.Column('user_id', sa.Text(), nullable=False),
    sa.Column('process_id', sa.Text(), nullable=False, comment='empty: held over between two connections'),
    sa.Column('until_ms', sa.Integer(), nullable=True, comment="of a held-over row; others last as long as their process's lease"),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], ),
    sa.PrimaryKeyConstraint('user_id', 'process_id'),
    sqlite_with_rowid=False
    )
    op.create_index('ix_presence_process_id', 'presence', ['process_id', 'until_ms'], unique=False)
    op.create_table('rooms',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=True, comment='null: deleted, so the name is free'),
    sa.Column('key_version', sa.Integer(), nullable=False),
    sa.Column('created_ms', sa.Integer(), nullable=False),
    sa.Column('owner_id', sa.Text(), nullable=True, comment='null: empty'),
    sa.Column('member_count', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('seq', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('rev', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('deleted_ms', sa.Integer(), nullable=True),
    sa.CheckConstraint('seq >= 0 AND rev >= seq', name='numbers'),
    sa.ForeignKeyConstraint(['owner_id'], ['users.id'], ),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('key')
    )
    op.create_table('sessions',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('user_id', sa.Text(), nullable=False),
    sa.Column('created_ms', sa.Integer(), nullable=False),
    sa.Column('last_seen_ms', sa.Integer(), nullable=False),
    sa.Column('expires_ms', sa.Integer(), nullable=False),
    sa.Column('ended_ms', sa.Integer(), nullable=True),
    sa.Column('user_agent', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], ),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index(op.f('ix_sessions_expires_ms'), 'sessions', ['expires_ms'], unique=False)
    op.create_index(op.f('ix_sessions_user_id'), 'sessions', ['user_id'], unique=False)
    op.create_table('members',
    sa.Column('room_id', sa.Text(), nullable=False),
    sa.Column('user_id', sa.Text(), nullable=False),
    sa.Column('joined_rev', sa.Integer(), nullable=False, comment='the longest-standing member has the least'),
    sa.Column('read_seq', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['room_id'], ['rooms.id'], ),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], ),
    sa.PrimaryKeyConstraint('room_id', 'user_id'),
    sqlite_with_rowid=False
    )
    op.create_index(op.f('ix_members_user_id'), 'members', ['user_id'], unique=False)
    op.create_table('messages',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('room_id', sa.Text(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('rev', sa.Integer(), nullable=False),
    sa.Column('sender_id', sa.Text(), nullable=False),
    sa.Column('sent_ms', sa.Integer(), nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.Column('client_id', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['room_id'], ['rooms.id'], ),
    sa.ForeignKeyConstraint(['sender_id'], ['users.id'], ),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('room_id', 'seq')
    )
    op.create_index('ix_messages_client_id', 'messages', ['sender_id', 'client_id'], unique=True, sqlite_where=sa.text('client_id IS NOT NULL'))
    op.create_table('refresh_tokens',
    sa.Column('hash', sa.LargeBinary(), nullable=False, comment='SHA-256'),
    sa.Column('session_id', sa.Text(), nullable=False),
    sa.Column('used_ms', sa.Integer(), nullable=True, comment='a used one that comes again was stolen'),
    sa.ForeignKeyConstraint(['session_id'], ['sessions.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('hash')
    )
    op.create_index(op.f('ix_refresh_tokens_session_id'), 'refresh_tokens', ['session_id'], unique=False)
    op.create_table('tickets',
    sa.Column('hash', sa.LargeBinary(), nullable=False, comment='SHA-256'),
    sa.Column('session_id', sa.Text(), nullable=False),
    sa.Column('origin', sa.Text(), nullable=True, comment='null: not issued to a browser'),
    sa.Column('access_expires_ms', sa.Integer(), nullable=False, comment='of the access token that asked for it'),
    sa.Column('expires_ms', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['session_id'], ['sessions.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('hash')
    )
    op.create_index(op.f('ix_tickets_expires_ms'), 'tickets', ['expires_ms'], unique=False)
    op.create_index(op.f('ix_tickets_session_id'), 'tickets', ['session_id'], unique=False)
    op.create_table('reactions',
    sa.Column('message_id', sa.Text(), nullable=False),
    sa.Column('emoji', sa.Text(), nullable=False),
    sa.Column('user_id', sa.Text(), nullable=False),
    sa.Column('reacted_ms', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['message_id'], ['messages.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], ),
    sa.PrimaryKeyConstraint('message_id', 'emoji', 'user_id'),
    sqlite_with_rowid=False
    )

    epoch = "e_" + secrets.token_hex(8)
    op.execute(f"INSERT INTO meta (key, value) VALUES ('schema', '1'), ('oldest_compatible', '1'), ('epoch', '{epoch}')")
