package simulator

import (
	"context"
	"io"
	"slices"
	"time"
)

// Delivery is one callback in the queue. Its content never changes, and the
// sender signs it at each try. A delivery leaves the queue when the receiver
// accepts it, or after the last retry of the sender's schedule.
type Delivery struct {
	ID        int64             `json:"id"`
	Sender    string            `json:"sender"`
	Owner     string            `json:"owner"`     // terminal or bank account
	Reference string            `json:"reference"` // merchant's or bank's reference, for scripts
	Values    map[string]string `json:"values,omitempty"`
	Body      string            `json:"body,omitempty"`
	Tries     int               `json:"tries"`
	DueAt     time.Time         `json:"due_at"`
	// OnAdvance holds the callback back until a script advances the clock.
	OnAdvance bool `json:"on_advance,omitempty"`

	busy bool // a worker or a script is sending it
}

// reply is the receiver's answer. Status is 0 when no answer came.
type reply struct {
	Sender    string `json:"sender"`
	Reference string `json:"reference"`
	Status    int    `json:"status"`
	Body      string `json:"body"`
	Error     string `json:"error,omitempty"`
	Accepted  bool   `json:"accepted"`
}

// Queue queues a callback in the mode of the current fault, and the worker sends
// it. The caller holds the lock.
func (s *Core) Queue(d Delivery) { s.queue(d, s.mode(d.Sender, ""), 0, true) }

// queue queues a callback in the given mode. The caller holds mu. With background
// set, the worker sends all deliveries. Otherwise the caller must send the
// returned deliveries, after it has unlocked mu and saved the state.
func (s *Core) queue(d Delivery, mode CallbackMode, delay time.Duration, background bool) []*Delivery {
	count := 1
	switch mode {
	case callbackLose:
		return nil
	case callbackTwice:
		count = 2
	case callbackDeliver, callbackLate, callbackBadSignature:
	}
	var list []*Delivery
	for range count {
		next := d
		s.state.LastDelivery++
		next.ID = s.state.LastDelivery
		next.DueAt = s.Now().Add(delay)
		next.OnAdvance = mode == callbackLate && delay == 0
		next.busy = mode != callbackLate && !background
		s.state.Deliveries[next.ID] = &next
		if next.busy {
			list = append(list, &next)
		}
	}
	s.Changed()
	s.Nudge()
	return list
}

// Nudge makes the worker read the queue again.
func (s *Core) Nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// work sends the due deliveries until Close.
func (s *Core) work() {
	for {
		s.mu.Lock()
		d := s.earliest()
		wait := time.Hour
		if s.advancing {
			d = nil // advance sends in order of time, and then wakes this loop
		}
		if d != nil {
			wait = max(d.DueAt.Sub(s.Now()), 0)
			if wait == 0 {
				d.busy = true
			}
		}
		s.mu.Unlock()

		if d != nil && wait == 0 {
			select {
			case s.slots <- struct{}{}:
			case <-s.ctx.Done():
				s.release(d)
				return
			}
			s.group.Go(func() {
				defer func() { <-s.slots }()
				s.try(d)
			})
			continue
		}
		// A test's clock may stand still: the minimum wait keeps this loop from spinning.
		t := time.NewTimer(max(wait, 10*time.Millisecond))
		select {
		case <-s.ctx.Done():
			t.Stop()
			return
		case <-s.wake:
			t.Stop()
		case <-t.C:
		}
	}
}

// earliest returns the delivery that is due first. It leaves out deliveries in
// progress and deliveries to unregistered receivers. The caller holds mu.
func (s *Core) earliest() *Delivery {
	var first *Delivery
	for _, d := range s.state.Deliveries {
		if d.busy || d.OnAdvance || !s.reachable(d) {
			continue
		}
		if first == nil || d.DueAt.Before(first.DueAt) || d.DueAt.Equal(first.DueAt) && d.ID < first.ID {
			first = d
		}
	}
	return first
}

// reachable reports whether the sender can sign and address the delivery; the
// caller holds mu.
func (s *Core) reachable(d *Delivery) bool {
	sender, ok := s.senders[d.Sender]
	return ok && sender.Knows(d.Owner)
}

// try sends d once and stores the result: accepted, due again, or given up.
func (s *Core) try(d *Delivery) reply {
	answer := s.send(d)
	s.mu.Lock()
	d.busy = false
	s.idle.Broadcast()
	if s.ctx.Err() == nil { // a delivery that Close interrupted does not count
		d.Tries++
		delays := s.retries[d.Sender]
		switch {
		case answer.Accepted:
			delete(s.state.Deliveries, d.ID)
		case d.Tries <= len(delays):
			d.DueAt = s.Now().Add(delays[d.Tries-1])
			s.Nudge()
		default:
			delete(s.state.Deliveries, d.ID)
			s.log.Warn("callback given up", "sender", d.Sender, "tries", d.Tries)
		}
		s.Changed()
	}
	s.mu.Unlock()
	if err := s.save(); err != nil {
		s.log.Error("simulator state not saved", "error", err)
	}
	return answer
}

// release returns unsent deliveries to the worker.
func (s *Core) release(list ...*Delivery) {
	s.mu.Lock()
	for _, d := range list {
		d.busy = false
	}
	s.idle.Broadcast()
	s.mu.Unlock()
	s.Nudge()
}

// send makes one HTTP call. The sender's rule decides whether the answer accepts the callback.
func (s *Core) send(d *Delivery) reply {
	answer := reply{Sender: d.Sender, Reference: d.Reference}
	ctx, cancel := context.WithTimeout(s.ctx, deliverySeconds*time.Second)
	defer cancel()

	s.mu.Lock()
	sender := s.senders[d.Sender]
	request, err := sender.Request(ctx, d, s.Fault(d.Sender).Callback == callbackBadSignature)
	s.mu.Unlock()
	if err != nil {
		answer.Error = "callback address is not usable"
		return answer
	}
	response, err := s.client.Do(request)
	if err != nil {
		answer.Error = "no answer"
		return answer
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, replyLimit))
	if err != nil {
		answer.Error = "answer broke off"
		return answer
	}
	answer.Status, answer.Body = response.StatusCode, string(raw)
	answer.Accepted = sender.Accepted(response.StatusCode, raw)
	return answer
}

// advance moves the clock forward. It sends all callbacks and retries that become
// due, in order of time. It first waits for deliveries in progress, so that their
// retries do not count from the new time.
func (s *Core) advance(by time.Duration) []reply {
	s.clock.Lock()
	defer s.clock.Unlock()
	replies := []reply{}
	s.mu.Lock()
	s.advancing = true
	var underWay []*Delivery
	for _, d := range s.state.Deliveries {
		if d.busy {
			underWay = append(underWay, d)
		}
	}
	for slices.ContainsFunc(underWay, func(d *Delivery) bool { return d.busy }) {
		s.idle.Wait()
	}
	target := s.Now().Add(by)
	for _, d := range s.state.Deliveries {
		if d.OnAdvance {
			d.OnAdvance, d.DueAt = false, s.Now()
		}
	}
	for s.ctx.Err() == nil {
		d := s.earliest()
		if d == nil || d.DueAt.After(target) {
			break
		}
		s.moveTo(d.DueAt)
		d.busy = true
		s.mu.Unlock()
		replies = append(replies, s.try(d))
		s.mu.Lock()
	}
	s.moveTo(target)
	s.tick()
	s.advancing = false
	s.mu.Unlock()
	s.Nudge()
	return replies
}

// moveTo sets the clock, forward only; the caller holds mu.
func (s *Core) moveTo(t time.Time) {
	if ahead := t.Sub(s.Now()); ahead > 0 {
		s.state.Offset += ahead
		s.Changed()
	}
}
