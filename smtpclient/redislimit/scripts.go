package redislimit

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/redis/go-redis/v9"
)

// A key is a sorted set of the ids of leases by the time when they end, or, of a
// rate, the time when the next use would come if all were spaced evenly. Times are
// microseconds of the server's clock: whole numbers that a double holds. Lua would
// write them with 14 digits, so that they are formatted.

// acquireScript asks each limit, and takes all if none refuses. Its arguments are
// the id, the life of a lease and the time to come back, then for each key Max,
// and of a rate the slack of its burst and the price of the use, else -1 and 0.
var acquireScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local id, life, retry = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local function limit(i)
	return tonumber(ARGV[3*i+1]), tonumber(ARGV[3*i+2]), tonumber(ARGV[3*i+3])
end
local function whole(n) return string.format('%.0f', n) end
local refused, longest, tats = 0, -1, {}
for i, key in ipairs(KEYS) do
	local max, slack, price = limit(i)
	local wait = -1
	if max <= 0 then
		wait = retry
	elseif slack >= 0 then
		tats[i] = tonumber(redis.call('GET', key) or '0')
		if now < tats[i] - slack then wait = tats[i] - slack - now end
	else
		redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now))
		if redis.call('ZCARD', key) >= max then wait = retry end
	end
	if wait > longest then refused, longest = i, wait end
end
if refused > 0 then return {refused, math.ceil(longest)} end
for i, key in ipairs(KEYS) do
	local max, slack, price = limit(i)
	if slack >= 0 then
		local tat = math.max(tats[i], now) + price
		redis.call('SET', key, whole(tat), 'PX', whole(math.ceil((tat - now) / 1000) + 1))
	else
		redis.call('ZADD', key, whole(now + life), id)
		redis.call('PEXPIRE', key, whole(math.ceil(life / 1000) + 1))
	end
end
return {0, 0}
`)

// releaseScript takes the lease out of the sets. Of a rate it takes back the price,
// which is 0 if the lease was used.
var releaseScript = redis.NewScript(`
for i, key in ipairs(KEYS) do
	local price = tonumber(ARGV[1+i])
	if price < 0 then
		redis.call('ZREM', key, ARGV[1])
	elseif price > 0 then
		local tat = redis.call('GET', key)
		if tat then redis.call('SET', key, string.format('%.0f', tat - price), 'KEEPTTL') end
	end
end
return 0
`)

// renewScript puts leases off to their full life, and back where they were lost.
var renewScript = redis.NewScript(`
local t = redis.call('TIME')
local life = tonumber(ARGV[1])
local till = string.format('%.0f', t[1] * 1000000 + t[2] + life)
for i, key in ipairs(KEYS) do
	redis.call('ZADD', key, till, ARGV[1+i])
	redis.call('PEXPIRE', key, string.format('%.0f', math.ceil(life / 1000) + 1))
end
return 0
`)

// key has the rate's measure, so that a limit that is changed begins anew.
func (l *Limiter) key(limit smtpclient.Limit) string {
	prefix := l.Prefix
	if prefix == "" {
		prefix = "{postrider}:limit:"
	}
	if limit.Per <= 0 {
		return prefix + "lease:" + limit.Key
	}
	return fmt.Sprintf("%srate:%d/%v:%s", prefix, limit.Max, limit.Per, limit.Key)
}

func (l *Limiter) keys(limits []smtpclient.Limit) []string {
	keys := make([]string, len(limits))
	for i, limit := range limits {
		keys[i] = l.key(limit)
	}
	return keys
}

func (l *Limiter) life() int64 { return orDefault(l.Lease, time.Minute).Microseconds() }

// spacing is in microseconds, rounded up.
func spacing(limit smtpclient.Limit) int64 {
	return int64((limit.Spacing() + time.Microsecond - 1) / time.Microsecond)
}

// price is the time that a use takes of a rate.
func price(limit smtpclient.Limit) int64 { return int64(max(limit.Cost, 1)) * spacing(limit) }

func (l *Limiter) acquire(ctx context.Context, g *lease) (answer, error) {
	args := []any{g.id, l.life(), orDefault(l.Retry, 5*time.Second).Microseconds()}
	for _, limit := range g.limits {
		slack, cost := int64(-1), int64(0)
		if limit.Per > 0 {
			slack, cost = int64(max(limit.Burst, 1)-1)*spacing(limit), price(limit)
		}
		args = append(args, limit.Max, slack, cost)
	}
	got, err := acquireScript.Run(ctx, l.Redis, l.keys(g.limits), args...).Int64Slice()
	if err != nil {
		return answer{}, err
	}
	return answer{refused: int(got[0]), wait: time.Duration(got[1]) * time.Microsecond}, nil
}

// release takes a lease out of its limits. What it cannot reach ends by itself.
func (l *Limiter) release(ctx context.Context, g *lease) error {
	args := []any{g.id}
	for _, limit := range g.limits {
		cost := int64(-1)
		switch {
		case limit.Per > 0 && (g.used.Load() || !g.granted):
			cost = 0
		case limit.Per > 0:
			cost = price(limit)
		}
		args = append(args, cost)
	}
	return releaseScript.Run(ctx, l.Redis, l.keys(g.limits), args...).Err()
}

// renewed is how many leases are renewed in one script: Redis does nothing else
// meanwhile.
const renewed = 200

// renew is tried again with the next one; three fit into the life of a lease.
func (l *Limiter) renew(ctx context.Context, leases []*lease) {
	keys, args := []string{}, []any{l.life()}
	flush := func() {
		if len(keys) > 0 {
			_ = renewScript.Run(ctx, l.Redis, keys, args...).Err()
		}
		keys, args = nil, []any{l.life()}
	}
	for _, g := range leases {
		for _, limit := range g.limits {
			if limit.Per <= 0 {
				keys, args = append(keys, l.key(limit)), append(args, g.id)
			}
		}
		if len(keys) >= renewed {
			flush()
		}
	}
	flush()
}
