package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/postrider/postrider/examples/fleet/policy"
	"github.com/postrider/postrider/smtpclient"
)

// choice is the policies of a run.
type choice struct {
	name   string
	about  string
	rules  func(u smtpclient.Use) []smtpclient.Limit
	naive  bool // who is refused comes back at the limiter's time, not in line
	spread bool // messages go to any worker, not to that of their site
	known  bool // the sites' rates are configured
	first  time.Duration
}

// fleet is workers with what they share, as in package worker: the same Limiter, Line
// and Backoff, and a queue, a pool and servers that are imitated.
type fleet struct {
	clock
	choice
	size
	random   *rand.Rand
	internet *internet
	load     load
	limiter  *smtpclient.LocalLimiter
	line     policy.Line
	backoff  policy.Backoff
	shards   []shard
	pools    []map[*site]*pool // of each worker
	measure  *measure
}

// size is how large all of it is.
type size struct {
	destinations, messages int
	length                 time.Duration
	workers, parts, slots  int
	expire, short          time.Duration
}

// job is a message to one recipient.
type job struct {
	site    *site
	shard   int
	arrival time.Duration
	tried   time.Duration // when first; for greylisting
	tries   uint8
	patient time.Duration // until when it is kept in hand
}

// shard is a part of the work queue, with as many slots as messages of it may be on
// their way at the same time.
type shard struct {
	ready []*job
	busy  int
}

// pool are one worker's sessions with a site.
type pool struct {
	site    *site
	open    int
	idle    []*session
	waiting []*job
}

// session is a connection.
type session struct {
	pool  *pool
	lease smtpclient.Lease
	uses  int
	since time.Duration // when it became idle
	state uint8
}

const (
	inUse = iota
	isIdle
	isClosed
)

const (
	perDestination = 20
	idleTime       = 5 * time.Second
	maxUses        = 100
	connectTimeout = 30 * time.Second
)

func newFleet(c choice, s size, seed uint64) *fleet {
	random := rand.New(rand.NewPCG(seed, 15))
	f := &fleet{choice: c, size: s, random: random, measure: newMeasure(s.length)}
	f.internet = newInternet(random, s)
	f.load = load{messages: s.messages, length: s.length, campaigns: []time.Duration{s.length * 9 / 24, s.length * 14 / 24}}
	rates := map[string]int{}
	if c.known {
		for _, s := range f.internet.sites {
			rates[s.name] = s.perMinute
		}
	}
	f.limiter = &smtpclient.LocalLimiter{Now: f.time, Rules: func(u smtpclient.Use) []smtpclient.Limit {
		if rate := rates[u.Site]; rate > 0 && !u.Connection {
			return []smtpclient.Limit{{Key: u.Site, Max: rate, Per: time.Minute}}
		}
		return c.rules(u)
	}}
	f.line.Naive = c.naive
	f.backoff.First = c.first
	f.shards = make([]shard, s.parts)
	for range s.workers {
		f.pools = append(f.pools, map[*site]*pool{})
	}
	return f
}

// run lets everything happen until all messages have come to their end.
func (f *fleet) run() *measure {
	f.plan(f.pause(), action{kind: arrive})
	for {
		do, ok := f.next()
		if !ok {
			return f.measure
		}
		f.measure.tick(f.now)
		switch do.kind {
		case arrive:
			f.arrive()
		case due:
			f.ready(do.job)
		case again:
			f.attempt(do.job)
		case dialled:
			f.dialled(do.sess, do.job)
		case ended:
			f.ended(do.sess, do.job)
		case rested:
			f.rest(do.sess)
		}
	}
}

// pause is the time to the next message.
func (f *fleet) pause() time.Duration {
	return time.Duration(f.random.ExpFloat64() / max(f.load.rate(f.now), 1e-6) * float64(time.Second))
}

func (f *fleet) arrive() {
	j := &job{site: f.internet.pick(f.random), arrival: f.now}
	j.shard = f.shardOf(j.site)
	f.measure.came()
	f.ready(j)
	if f.measure.arrived < f.messages {
		f.plan(f.pause(), action{kind: arrive})
	}
}

// shardOf is where a site's mail goes, or with spread any shard.
func (f *fleet) shardOf(s *site) int {
	if f.spread {
		return f.random.IntN(f.parts)
	}
	h := uint32(2166136261)
	for _, b := range []byte(s.name) {
		h = (h ^ uint32(b)) * 16777619
	}
	return int(h % uint32(f.parts))
}

// ready puts a job into the work queue.
func (f *fleet) ready(j *job) {
	s := &f.shards[j.shard]
	s.ready = append(s.ready, j)
	f.serve(s)
}

// serve takes jobs of a shard as long as there are slots.
func (f *fleet) serve(s *shard) {
	for s.busy < f.slots && len(s.ready) > 0 {
		j := s.ready[0]
		s.ready = s.ready[1:]
		s.busy++
		j.patient = f.now + f.short
		f.attempt(j)
	}
}

// free gives the slot of a job back.
func (f *fleet) free(j *job) {
	s := &f.shards[j.shard]
	s.busy--
	f.serve(s)
}

func (f *fleet) pool(j *job) *pool {
	pools := f.pools[j.shard%f.workers]
	p := pools[j.site]
	if p == nil {
		p = &pool{site: j.site}
		pools[j.site] = p
	}
	return p
}

// attempt finds a session for a job, opens one, or waits for one.
func (f *fleet) attempt(j *job) {
	p := f.pool(j)
	for len(p.idle) > 0 {
		s := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		f.measure.reused++
		f.transact(s, j)
		return
	}
	if p.open >= perDestination {
		p.waiting = append(p.waiting, j)
		return
	}
	lease, err := f.limiter.Acquire(context.Background(), smtpclient.Use{Connection: true, Site: j.site.name})
	if err != nil {
		if p.open > 0 {
			p.waiting = append(p.waiting, j) // those who have one will pass it on
			return
		}
		f.refused(j, err)
		return
	}
	f.measure.dialled++
	p.open++
	s := &session{pool: p, lease: lease}
	if j.site.down(f.now) {
		f.plan(connectTimeout, action{kind: dialled, sess: s, job: j})
		return
	}
	f.plan(4*j.site.roundTrip, action{kind: dialled, sess: s, job: j})
}

// refused keeps a job in hand for a short time, or sends it back into the queue.
func (f *fleet) refused(j *job, err error) {
	var no *smtpclient.RefusedError
	if !errors.As(err, &no) {
		panic(err)
	}
	wait := no.NotBefore.Sub(f.time())
	if f.now+wait <= j.patient {
		f.plan(wait, action{kind: again, job: j})
		return
	}
	f.measure.putOff++
	at := f.line.Next(j.site.name, no.NotBefore, f.time())
	f.later(j, at.Sub(f.time()))
}

// later has a job come back, in whole seconds as NATS has it.
func (f *fleet) later(j *job, after time.Duration) {
	after = (after + time.Second - 1).Truncate(time.Second)
	if f.now-j.arrival >= f.expire {
		f.measure.expired++
		f.measure.over(f.now - j.arrival)
		f.free(j)
		return
	}
	f.plan(min(after, j.arrival+f.expire-f.now), action{kind: due, job: j})
	f.free(j)
}

// dialled is a connection that came about, or did not.
func (f *fleet) dialled(s *session, j *job) {
	switch {
	case j.site.down(f.now):
		s.lease.Report(smtpclient.Broken)
		f.close(s)
		f.failed(j)
	case j.site.open >= j.site.sessions:
		f.measure.tooMany++ // 421 too many connections
		s.lease.Report(smtpclient.Broken)
		f.close(s)
		f.failed(j)
	default:
		j.site.open++
		s.lease.Report(smtpclient.Worked)
		f.transact(s, j)
	}
}

// transact sends a message on a session.
func (f *fleet) transact(s *session, j *job) {
	s.state = inUse
	lease, err := f.limiter.Acquire(context.Background(), smtpclient.Use{Site: j.site.name, Recipients: 1})
	if err != nil {
		f.refused(j, err)
		f.pass(s)
		return
	}
	lease.Report(smtpclient.Worked)
	lease.Release()
	took := 2*j.site.roundTrip + time.Duration(f.random.ExpFloat64()*float64(j.site.work))
	f.plan(took, action{kind: ended, sess: s, job: j})
}

// ended is the end of a transaction.
func (f *fleet) ended(s *session, j *job) {
	s.uses++
	f.measure.transactions++
	f.line.Done(j.site.name, f.time())
	if j.tries == 0 {
		j.tried = f.now
	}
	switch {
	case j.site.down(f.now): // the connection is lost
		f.measure.cut++
		s.lease.Report(smtpclient.Broken)
		f.hangUp(s)
		f.failed(j)
		return
	case !j.site.admit(f.now):
		f.measure.tooFast++ // 421 too many messages
		s.lease.Report(smtpclient.Broken)
		f.hangUp(s)
		f.failed(j)
		return
	case j.site.grey && f.now-j.tried < 5*time.Minute:
		f.measure.greylisted++
		f.failed(j)
	default:
		f.measure.delivered(f.now, f.now-j.arrival)
		f.free(j)
	}
	s.lease.Report(smtpclient.Worked)
	f.pass(s)
}

// failed has a job tried again after a while.
func (f *fleet) failed(j *job) {
	if j.tries == 0 {
		j.tried = f.now
	}
	j.tries++
	f.later(j, f.backoff.After(int(j.tries), f.random.Float64()))
}

// pass gives a session to who waits for it, or lets it rest.
func (f *fleet) pass(s *session) {
	p := s.pool
	if s.uses >= min(maxUses, p.site.perSession) {
		f.hangUp(s)
		return
	}
	if len(p.waiting) > 0 {
		j := p.waiting[0]
		p.waiting = p.waiting[1:]
		f.measure.reused++
		f.transact(s, j)
		return
	}
	s.state, s.since = isIdle, f.now
	p.idle = append(p.idle, s)
	f.plan(idleTime, action{kind: rested, sess: s})
}

// rest closes a session that nobody has wanted.
func (f *fleet) rest(s *session) {
	if s.state != isIdle || f.now-s.since < idleTime {
		return
	}
	for i, other := range s.pool.idle {
		if other == s {
			s.pool.idle = append(s.pool.idle[:i], s.pool.idle[i+1:]...)
			break
		}
	}
	f.hangUp(s)
}

// hangUp closes a session that the site has taken.
func (f *fleet) hangUp(s *session) {
	s.pool.site.open--
	f.close(s)
}

// close gives the place back. Who waits for a session may open one now.
func (f *fleet) close(s *session) {
	p := s.pool
	s.state = isClosed
	s.lease.Release()
	p.open--
	waiting := p.waiting
	p.waiting = nil
	for _, j := range waiting {
		f.attempt(j)
	}
}
