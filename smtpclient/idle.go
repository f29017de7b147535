package smtpclient

import (
	"context"
	"sync"
	"time"
)

// maxSites is how many destinations are remembered that have no session: when
// there was a delivery to them is all that is known.
const maxSites = 4096

func (p *Pool) site(key string) *site {
	st := p.sites[key]
	if st != nil {
		return st
	}
	if len(p.sites) >= maxSites && len(p.sites) >= 2*p.all() {
		p.forget()
	}
	if p.sites == nil {
		p.sites = make(map[string]*site)
	}
	st = &site{key: key}
	p.sites[key] = st
	return st
}

// forget drops the destinations that nothing is open to.
func (p *Pool) forget() {
	for key, st := range p.sites {
		if st.open == 0 && len(st.waiters) == 0 {
			delete(p.sites, key)
		}
	}
}

// wind sets the timer for the session that is idle longest.
func (p *Pool) wind(d time.Duration) {
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.expire)
		return
	}
	p.timer.Reset(d)
}

// expire closes what was idle for too long.
func (p *Pool) expire() {
	p.mu.Lock()
	now := time.Now()
	var doomed []*berth
	for p.idle.Len() > 0 {
		b := p.idle.Front().Value.(*berth)
		if left := p.idleTime() - now.Sub(b.since); left > 0 {
			p.wind(left)
			break
		}
		doomed = append(doomed, p.evict(b))
	}
	p.mu.Unlock()
	p.dismiss(context.Background(), doomed)
}

// partingTime bounds what a session may take to say QUIT when it is closed.
const partingTime = 100 * time.Millisecond

// dismiss says QUIT on sessions that nobody uses, closes them, and gives their
// places to those who wait.
func (p *Pool) dismiss(ctx context.Context, doomed []*berth) {
	for len(doomed) > 0 {
		for _, b := range doomed {
			b.session.part(ctx)
		}
		p.mu.Lock()
		for _, b := range doomed {
			p.leaving--
			p.free(b)
		}
		doomed = p.grant()
		p.noteEnd()
		p.mu.Unlock()
	}
}

// works are those that no session has. They hold nothing but room.
var works = sync.Pool{New: func() any { return newWork() }}

// wipe leaves nothing but room: a command may have held a password.
func (w *work) wipe() {
	clear(w.out[:cap(w.out)])
	clear(w.scratch[:cap(w.scratch)])
	out, scratch := w.out[:0], w.scratch[:0]
	*w = work{}
	w.out, w.scratch = out, scratch
}

// slim gives up what only a delivery needs, and what would keep the last one's ctx
// and report in memory.
func (s *Session) slim() {
	s.reader.Rest()
	s.resting = resting{s.at.TLS, s.at.Login}
	s.work.wipe()
	works.Put(s.work)
	s.work, s.target = nil, nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call = call{}
}

// rise undoes slim, as far as it is needed.
func (s *Session) rise() {
	b := s.berth
	s.work = works.Get().(*work)
	at := &s.at // empty, as all works are
	at.Host, at.Addr, at.TLS, at.Login, at.Reused = b.asked.host, b.asked.addr, s.resting.tls, s.resting.login, b.uses
	s.resting = resting{}
}

// part ends a session that nobody uses. Where the caller's connection panics there
// is nobody to be told.
func (s *Session) part(ctx context.Context) {
	defer func() { _ = recover() }()
	ctx, cancel := context.WithTimeout(ctx, partingTime)
	defer cancel()
	if err := s.enter(ctx); err == nil {
		s.leaveQuietly(errDone)
		s.leave()
	}
	s.Close()
}
