#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Move a busy guest: to a file and back, to a snapshot and back, to another QEMU while it runs.

  migrate.py DEVICE [TEST...]   without TEST: all that need one device; "list" prints them

The guest (busy.c) checks its memory, registers and clocks all the time and numbers its lines. What was
on the consoles before and after must be one sequence without a gap, with sane times.
A test is "ok NAME" or "not ok NAME". save and load leave and take $WORK/DEVICE-... files, for crossing from
one hypervisor to the other.
"""

import os
import re
import subprocess
import sys
import time

from machine import WORK, Failure, Machine

# Nested virtualization is left out: hv has none, and the file of a guest that has it cannot be loaded.
CPU = '-cpu host,-svm,-vmx'
BOOT_SECONDS = 150
MIGRATE_SECONDS = 180
# Whole lines: QEMU may be writing the last one.
LINE = re.compile(r'^BUSY (\d+) mono (\d+) real (\d+)((?: cpu\d+ \d+/\d+/\d+)+)\n', re.M)
TROUBLE = re.compile(r'^.*(?:^BAD|BUG:|Oops|Kernel panic|lockup|stall|Call Trace|RIP:).*$', re.M)
STEP_MS = 120000		# from one line to the next; the guest does not see the time between
DRIFT_MS = 100		# of its real-time clock against the monotonic one


class Report:
    """One line of the busy guest."""

    def __init__(self, match):
        self.number, self.mono, self.real = (int(match.group(i)) for i in (1, 2, 3))
        self.work = [[int(n) for n in w.split('/')] for w in re.findall(r'(\d+/\d+/\d+)', match.group(4))]


def reports(text):
    return [Report(match) for match in LINE.finditer(text)]


def guest(name, device, cpus, extra='', version='10', machine='q35'):
    return Machine(name, device, f'-M {machine} {CPU} -smp {cpus} {extra}', version, boot='busy')


def busy(machine):
    """Start it and wait until it is at work."""
    machine.start()
    machine.qmp('cont')
    machine.wait_console(r'^BUSY 6 ', BOOT_SECONDS)
    return machine


def still(seen):
    """The threads that did nothing in these lines."""
    return [f'{what} thread of processor {cpu}' for cpu in range(len(seen[0].work))
            for i, what in enumerate(('memory', 'register', 'clock')) if not sum(r.work[cpu][i] for r in seen)]


def wait_work(machine, mark=0, seconds=180):
    """Until every thread has gone on, by the lines of the console from its character `mark` on.

    On a host that keeps time by something else than the TSC, QEMU makes the guest's clock lead by the time
    that saving took (on KVM too): it stands for so long, and the guest's scheduler with it.
    """
    end = time.monotonic() + seconds
    while True:
        text = machine.console()[mark:]
        found = TROUBLE.search(text)
        if found:
            raise Failure(found.group(0))
        # The first line also counts work from before.
        seen = reports(text)[1:]
        if len(seen) >= 4 and not still(seen):
            return
        if machine.process.poll() is not None:
            raise Failure(f'QEMU ended with status {machine.process.returncode}')
        if time.monotonic() > end:
            if seen:
                raise Failure(f'after the move {", ".join(still(seen))} stood still')
            raise Failure(f'the guest does not go on (status {machine.status()})')
        time.sleep(0.1)


def check_sequence(text):
    """text: all that was on the console, before and after the move."""
    found = TROUBLE.search(text)
    if found:
        raise Failure(found.group(0))
    seen = reports(text)
    for last, this in zip(seen, seen[1:]):
        if this.number != last.number + 1:
            raise Failure(f'line {this.number} follows line {last.number}')
        if not 0 < this.mono - last.mono < STEP_MS:
            raise Failure(f'line {this.number}: {this.mono - last.mono} ms of monotonic time passed')
        if abs((this.real - last.real) - (this.mono - last.mono)) > DRIFT_MS:
            raise Failure(f'line {this.number}: {this.real - last.real} ms of real time, '
                          f'{this.mono - last.mono} ms of monotonic time passed')


def wait_migrated(machine, seconds=MIGRATE_SECONDS):
    """The figures of a migration that has ended well."""
    end = time.monotonic() + seconds
    while True:
        info = machine.qmp('query-migrate')
        if info.get('status') == 'completed':
            return info
        if info.get('status') in ('failed', 'cancelled'):
            raise Failure(f"migration {info['status']}: {info.get('error-desc', 'no reason given')}")
        if time.monotonic() > end:
            raise Failure(f"migration is {info.get('status')} after {seconds} s")
        time.sleep(0.1)


def save_to(machine, path, version):
    machine.qmp('migrate-set-parameters', max_bandwidth=1 << 32)
    uri = 'file:' + path if version == '10' else 'exec:cat >' + path
    machine.qmp('migrate', uri=uri)
    wait_migrated(machine)
    before = machine.console()
    machine.stop()
    return before


def load_from(machine, path, version):
    """A QEMU that takes a file, told when it is ready: reading may take longer than its monitor waits."""
    machine.args += ['-incoming', 'defer']
    machine.start()
    machine.qmp('migrate-incoming', uri='file:' + path if version == '10' else 'exec:cat ' + path)
    wait_migrated(machine)
    machine.qmp('cont')


# ---- the tests ------------------------------------------------------------------------------------

def through_file(device, cpus, machines, version='10', machine='q35', extra=''):
    """Saved to a file, and after some seconds loaded into a new QEMU."""
    path = os.path.join(WORK, 'migration')
    first = guest('first', device, cpus, extra, version, machine)
    machines.append(first)
    before = save_to(busy(first), path, version)
    time.sleep(3)
    second = guest('second', device, cpus, extra, version, machine)
    machines.append(second)
    load_from(second, path, version)
    wait_work(second)
    check_sequence(before + second.console())


def through_snapshot(device, cpus, machines, version='10'):
    """savevm; loadvm in the same QEMU, which has gone on meanwhile; -loadvm in a new one."""
    path = os.path.join(WORK, 'snapshot.qcow2')
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', path, '16M'], check=True)
    extra = f'-drive if=none,id=d,file={path}'
    first = guest('first', device, cpus, extra, version)
    machines.append(first)
    busy(first)
    said = first.hmp('savevm s1')
    if said:
        raise Failure('savevm: ' + said)
    saved = reports(first.console())[-1].number
    wait_work(first, len(first.console()))
    first.qmp('stop')
    mark = len(first.console())
    said = first.hmp('loadvm s1')
    if said:
        raise Failure('loadvm: ' + said)
    first.qmp('cont')
    wait_work(first, mark)
    # What the guest said between savevm and loadvm has not happened for it. Its console may be cut
    # within a line, which is why the first line of what follows counts.
    kept, again = first.console()[:mark], first.console()[mark:]
    number = reports(again)[0].number
    if not saved <= number <= saved + 2:
        raise Failure(f'the snapshot was made after line {saved}, but goes on with line {number}')
    check_sequence(kept)
    check_sequence(kept.partition(f'BUSY {number} ')[0] + again)
    first.stop()
    second = guest('second', device, cpus, extra + ' -loadvm s1', version)
    machines.append(second)
    second.start()
    second.qmp('cont')
    wait_work(second)
    check_sequence(kept.partition(f'BUSY {number} ')[0] + second.console())


def live(device, cpus, machines, version='10', extra='', capabilities=(), postcopy=False, parameters=None):
    """To a QEMU beside it, while the guest runs and dirties its memory through several passes."""
    path = os.path.join(WORK, 'migration.sock')
    first = guest('first', device, cpus, extra, version)
    second = guest('second', device, cpus, extra + ' -incoming defer', version)
    machines += [first, second]
    if postcopy:
        # It runs as soon as it can, and asks for what it has not got yet.
        second.args.remove('-S')
    busy(first)
    second.start()
    turned_on = [{'capability': c, 'state': True} for c in capabilities]
    for machine in (first, second):
        machine.qmp('migrate-set-capabilities', capabilities=turned_on)
    second.qmp('migrate-incoming', uri='unix:' + path)
    # Hopeless at first, so that there are passes; then easy.
    first.qmp('migrate-set-parameters', max_bandwidth=1 << 25, downtime_limit=1, **(parameters or {}))
    first.qmp('migrate', uri='unix:' + path)
    end = time.monotonic() + MIGRATE_SECONDS
    while first.qmp('query-migrate').get('ram', {}).get('dirty-sync-count', 0) < (2 if postcopy else 5):
        if first.qmp('query-migrate').get('status') in ('failed', 'completed'):
            break
        if time.monotonic() > end:
            raise Failure('the migration makes no passes')
        time.sleep(0.05)
    if postcopy:
        first.qmp('migrate-start-postcopy')
    else:
        first.qmp('migrate-set-parameters', max_bandwidth=1 << 32, downtime_limit=5000)
    info = wait_migrated(first)
    if not postcopy and info['ram']['dirty-sync-count'] < 4:
        raise Failure(f"only {info['ram']['dirty-sync-count']} passes")
    if postcopy and not info['ram']['postcopy-requests']:
        raise Failure('no page was asked for')
    wait_migrated(second)
    before = first.console()
    first.stop()
    second.qmp('cont')
    wait_work(second)
    check_sequence(before + second.console())


def cross_save(device, cpus, machines):
    base = os.path.join(WORK, f'{os.path.basename(device)}-{cpus}')
    first = guest('first', device, cpus)
    machines.append(first)
    before = save_to(busy(first), base + '.migration', '10')
    with open(base + '.before', 'w', encoding='utf-8') as f:
        f.write(before)


def cross_load(device, cpus, machines):
    other = 'hv' if device == '/dev/kvm' else 'kvm'
    base = os.path.join(WORK, f'{other}-{cpus}')
    with open(base + '.before', encoding='utf-8') as f:
        before = f.read()
    second = guest('second', device, cpus)
    machines.append(second)
    load_from(second, base + '.migration', '10')
    wait_work(second)
    check_sequence(before + second.console())


RING = '-accel kvm,dirty-ring-size=1024'
TESTS = {
    'file-1': (through_file, 1, {}),
    'file-2': (through_file, 2, {}),
    'file-split': (through_file, 2, {'machine': 'q35,kernel-irqchip=split'}),
    'file-microvm': (through_file, 1, {'machine': 'microvm'}),
    'file-pc': (through_file, 2, {'machine': 'pc'}),
    'file-qemu7.2': (through_file, 2, {'version': '7.2'}),
    'snapshot-1': (through_snapshot, 1, {}),
    'snapshot-2': (through_snapshot, 2, {}),
    'snapshot-qemu7.2': (through_snapshot, 2, {'version': '7.2'}),
    'live-1': (live, 1, {}),
    'live-2': (live, 2, {}),
    'live-ring': (live, 2, {'extra': RING}),
    'live-auto-converge': (live, 2, {'capabilities': ('auto-converge',)}),
    'live-dirty-limit': (live, 2, {'extra': RING, 'capabilities': ('dirty-limit',),
                                   'parameters': {'vcpu_dirty_limit': 50}}),
    'live-postcopy': (live, 2, {'capabilities': ('postcopy-ram',), 'postcopy': True}),
    'live-multifd': (live, 2, {'capabilities': ('multifd',)}),
    'live-qemu7.2': (live, 2, {'version': '7.2'}),
    'save-1': (cross_save, 1, {}),
    'save-2': (cross_save, 2, {}),
    'load-1': (cross_load, 1, {}),
    'load-2': (cross_load, 2, {}),
}
CROSS = ('save-1', 'save-2', 'load-1', 'load-2')


def run(device, name):
    """Whether a test passed; says so."""
    test, cpus, options = TESTS[name]
    machines = []
    begin = time.monotonic()
    label = f'{os.path.basename(device)}-{name}'
    try:
        test(device, cpus, machines, **options)
    except Failure as e:
        print(f'not ok {label}\n  {e}')
        for machine in machines:
            print(f'  {machine.name}:\n{machine.trouble()}')
        return False
    finally:
        for machine in machines:
            machine.stop()
    print(f'ok {label}\n# {time.monotonic() - begin:.1f} s', flush=True)
    return True


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    names = sys.argv[2:] or [name for name in TESTS if name not in CROSS]
    if names == ['list']:
        print(' '.join(TESTS))
        return 0
    unknown = set(names) - set(TESTS)
    if unknown:
        raise SystemExit(f'migrate.py: no such tests: {" ".join(sorted(unknown))}')
    results = [run(sys.argv[1], name) for name in names]
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
