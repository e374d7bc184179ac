"""fastapi-users as its documentation's full example has it, with Redis sessions and PostgreSQL.

It runs in the rivals' environment and knows nothing of ours. Beyond the example: as many pooled connections as ours has
(SQLAlchemy's own five with ten more opened and closed as needed would slow it down), hiredis, and no limit to a session.
"""
# mypy: ignore-errors

from __future__ import annotations

import os
from collections.abc import AsyncIterator  # noqa: TC003 - FastAPI reads annotations
from contextlib import asynccontextmanager
from uuid import UUID

import redis.asyncio
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, RedisStrategy
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

POOL = int(os.environ["POOL_SIZE"])

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgres://", "postgresql+asyncpg://"), pool_size=POOL, max_overflow=0
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
store = redis.asyncio.from_url(os.environ["REDIS_URL"], decode_responses=True)


class Base(DeclarativeBase):
    """The declarative base of the example."""


class User(SQLAlchemyBaseUserTableUUID, Base):
    """An account; its table is called user."""


class UserManager(UUIDIDMixin, BaseUserManager[User, UUID]):
    """Everything as it comes; argon2 from pwdlib's defaults."""


async def _session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


async def _users(session: AsyncSession = Depends(_session)) -> AsyncIterator[SQLAlchemyUserDatabase]:  # noqa: B008 - FastAPI's way
    yield SQLAlchemyUserDatabase(session, User)


async def _manager(users: SQLAlchemyUserDatabase = Depends(_users)) -> AsyncIterator[UserManager]:  # noqa: B008 - FastAPI's way
    yield UserManager(users)


backend = AuthenticationBackend(
    name="redis", transport=BearerTransport(tokenUrl="auth/login"), get_strategy=lambda: RedisStrategy(store)
)
service = FastAPIUsers[User, UUID](_manager, [backend])


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(1)"))  # every worker comes by here
        await connection.run_sync(Base.metadata.create_all)
    yield


app = FastAPI(lifespan=_lifespan)
app.include_router(service.get_auth_router(backend), prefix="/auth")
app.include_router(service.get_register_router(schemas.BaseUser[UUID], schemas.BaseUserCreate), prefix="/auth")
app.include_router(service.get_users_router(schemas.BaseUser[UUID], schemas.BaseUserUpdate), prefix="/users")
