"""What others add to the same route, each as its guide says, on redis-py with hiredis."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from redis.asyncio import Redis

from bench.own.web import PATH, USER, answer

_WIDE = 1_000_000


def slowapi(url: str) -> FastAPI:
    """Its decorator; fixed windows, no header fields."""
    from slowapi import Limiter
    from slowapi.util import get_remote_address

    app = FastAPI()
    limiter = app.state.limiter = Limiter(get_remote_address, storage_uri=url, strategy="fixed-window")

    async def limited(request: Request, user_id: int) -> dict[str, Any]:  # slowapi looks for the request
        return await answer(user_id)

    limited.__annotations__ |= {"request": Request, "user_id": int}
    app.get(PATH)(limiter.limit(f"{_WIDE}/minute")(limited))
    return app


def fastapi_limiter(url: str) -> FastAPI:
    """Its dependency, on pyrate-limiter's bucket in Redis."""
    from fastapi_limiter.depends import RateLimiter
    from pyrate_limiter import Duration, Limiter, Rate, RedisBucket

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        redis = Redis.from_url(url)
        bucket: Any = RedisBucket.init([Rate(_WIDE, Duration.SECOND * 2)], redis, "bench")
        app.get(PATH, dependencies=[Depends(RateLimiter(limiter=Limiter(await bucket)))])(answer)
        yield
        await redis.aclose()

    return FastAPI(lifespan=opened)


def _sdk(url: str) -> Any:
    from redis_fastapi import FastAPIRedis, get_settings

    get_settings().url = url
    app = FastAPI()
    return app, FastAPIRedis(app).lifespan()


def sdk_limit(url: str) -> FastAPI:
    """fastapi-redis-sdk: its dependency."""
    from redis_fastapi import rate_limit

    app, setup = _sdk(url)
    setup.rate_limiting()
    app.get(PATH, dependencies=[Depends(rate_limit(f"{_WIDE}/minute"))])(answer)
    return app


def sdk_session(url: str) -> FastAPI:
    """fastapi-redis-sdk: a session in Redis behind a cookie."""
    from redis_fastapi import SessionDep, valid_session

    app, setup = _sdk(url)
    setup.sessions()

    async def login(session: SessionDep) -> dict[str, Any]:
        session["user_id"] = "user7"
        return {}

    async def me(user_id: int, session: SessionDep) -> dict[str, Any]:
        return USER | {"id": user_id, "by": session.get("user_id")}

    login.__annotations__["session"] = SessionDep
    me.__annotations__ |= {"session": SessionDep, "user_id": int}
    app.post(PATH)(login)
    app.get(PATH, dependencies=[Depends(valid_session())])(me)
    app.state.bench_headers = {"login": "cookie"}
    return app


def sdk_page(url: str) -> FastAPI:
    """fastapi-redis-sdk: a cached response."""
    from redis_fastapi import cache

    app, setup = _sdk(url)
    setup.caching()
    app.get(PATH, dependencies=[Depends(cache(ttl=600))])(answer)
    return app


def sdk_cached(url: str) -> FastAPI:
    """fastapi-redis-sdk: a cached value, by its backend."""
    from redis_fastapi import CacheBackendDep

    app, setup = _sdk(url)
    setup.caching()

    async def read(user_id: int, backend: CacheBackendDep) -> Any:
        value = await backend.get(f"user:{user_id}", default=None)
        if value is None:
            await backend.set(f"user:{user_id}", value := await answer(user_id), ttl=600)
        return value

    read.__annotations__ |= {"backend": CacheBackendDep, "user_id": int}
    app.get(PATH)(read)
    return app


def cashews(url: str) -> FastAPI:
    """A decorated function."""
    from cashews import Cache

    cache = Cache()
    cache.setup(url, client_side=False, max_connections=100)
    app = FastAPI()
    cached = cache(ttl="10m", key="user:{user_id}")(answer)

    async def read(user_id: int) -> Any:
        return await cached(user_id)

    app.get(PATH)(read)
    return app


def fastapi_cache2(url: str) -> FastAPI:
    """A decorated endpoint."""
    from fastapi_cache import FastAPICache
    from fastapi_cache.backends.redis import RedisBackend
    from fastapi_cache.decorator import cache

    FastAPICache.init(RedisBackend(Redis.from_url(url)), prefix="bench")
    app = FastAPI()
    app.get(PATH)(cache(expire=600)(answer))
    return app


def _jwt(url: str, algorithm: str, signing: Any, verifying: Any) -> FastAPI:
    """A dependency that decodes and asks for the blacklist entry."""
    redis, now = Redis.from_url(url), int(time.time())
    claims = {"iss": "hustlex", "sub": "user7", "aud": "hustlex", "iat": now, "exp": now + 900, "jti": "7" * 22}
    app = FastAPI()

    async def user(shown: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> dict[str, Any]:
        try:
            found = jwt.decode(shown.credentials, verifying, [algorithm], audience="hustlex", issuer="hustlex")
        except jwt.InvalidTokenError:
            raise HTTPException(401) from None
        if await redis.exists(f"jwt:blacklist:{found['jti']}"):
            raise HTTPException(401)
        return found

    async def me(user_id: int, found: Any = Depends(user)) -> dict[str, Any]:  # noqa: B008 - FastAPI's way
        return USER | {"id": user_id, "by": found["sub"]}

    app.get(PATH)(me)
    app.state.bench_headers = {"Authorization": f"Bearer {jwt.encode(claims, signing, algorithm)}"}
    return app


def pyjwt_hs256(url: str) -> FastAPI:
    """PyJWT with a shared secret, and EXISTS."""
    return _jwt(url, "HS256", "k" * 32, "k" * 32)


def pyjwt_es256(url: str) -> FastAPI:
    """PyJWT as ours signs, and EXISTS."""
    private = ec.generate_private_key(ec.SECP256R1())
    return _jwt(url, "ES256", private, private.public_key())


Factory = Callable[[str], FastAPI]
