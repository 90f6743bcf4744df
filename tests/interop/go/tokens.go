package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// access is what a Go service does that shares the server: verify an access token with the published keys, then look
// at the blacklist and at the session, by the names that the guide gives.
func access(opt asynq.RedisConnOpt, token string, jwks []byte) (any, error) {
	claims, err := verified(token, jwks)
	if err != nil {
		return nil, err
	}
	client := opt.MakeRedisClient().(redis.UniversalClient)
	defer client.Close()
	ctx := context.Background()
	forbidden, err := client.Exists(ctx, "jwt:blacklist:"+claims.JTI).Result()
	if err != nil {
		return nil, err
	}
	user, _, _ := strings.Cut(claims.JTI, ".")
	state, err := client.HGet(ctx, "session:"+user+":"+claims.SID, "st").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	return map[string]any{"sub": claims.Sub, "forbidden": forbidden == 1, "session": state}, nil
}

type accessClaims struct {
	Sub string `json:"sub"`
	JTI string `json:"jti"`
	SID string `json:"sid"`
}

func verified(token string, jwks []byte) (claims accessClaims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims, errors.New("not a signed token")
	}
	var header struct{ Alg, Kid, Typ string }
	var set struct {
		Keys []struct{ Kid, Alg, X, Y string }
	}
	if err = errors.Join(open(parts[0], &header), json.Unmarshal(jwks, &set)); err != nil {
		return claims, err
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(signature) != 64 {
		return claims, errors.New("not an ES256 signature")
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	for _, key := range set.Keys {
		if key.Kid == header.Kid && key.Alg == "ES256" && header.Alg == "ES256" && header.Typ == "at+jwt" {
			public := ecdsa.PublicKey{Curve: elliptic.P256(), X: number(key.X), Y: number(key.Y)}
			if ecdsa.Verify(&public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
				return claims, open(parts[1], &claims)
			}
		}
	}
	return claims, errors.New("no key verifies it")
}

func open(segment string, into any) error {
	raw, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

func number(text string) *big.Int {
	raw, _ := base64.RawURLEncoding.DecodeString(text)
	return new(big.Int).SetBytes(raw)
}
