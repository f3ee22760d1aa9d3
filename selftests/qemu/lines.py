#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the command lines of the file "lines" on a device, or compare what two devices gave.

  lines.py run DEVICE RESULTS [--quick | --intel] [NAME...]
  lines.py compare RESULTS-OF-KVM RESULTS-OF-HV

A result is a list of lines of text. Comparing prints "ok NAME" or "not ok NAME", with the differences
that the file "accepted" does not explain.
"""

import json
import os
import re
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from machine import INITRD, KERNEL, WORK, Failure, Machine, command_line

HERE = os.path.dirname(os.path.abspath(__file__))
DISK = os.path.join(WORK, 'signed')
BOOT_SECONDS = 150
TEXT_SECONDS = 300
DISK_SECONDS = 300
AT_ONCE = 2


class Line:
    """One command line of the list, for one version of QEMU."""

    def __init__(self, name, version, outcome, options):
        self.quick = name.lstrip('+').startswith('*' if version == '10' else '**')
        if version == '(7.2)':
            version, outcome = '7.2', 'start'
        self.intel = name.startswith('+') and version == '10'
        self.name = name.strip('*+') + ('' if version == '10' else '-qemu' + version)
        self.version = version
        self.outcome, _, self.argument = outcome.partition(' ')
        self.options = options


def read_lines():
    found, words = [], {}
    with open(os.path.join(HERE, 'lines'), encoding='ascii') as f:
        for text in f:
            if text.startswith('#') or not text.strip():
                continue
            defined = re.match(r'([A-Z]+) = (.*)', text)
            if defined:
                words['$' + defined.group(1)] = defined.group(2)
                continue
            # A bar without spaces around it belongs to a regular expression.
            fields = [field.strip() for field in re.split(r'\s\|\s', text)]
            name, versions, outcome = fields[0], fields[1], fields[2]
            if outcome.split()[0] not in (*OUTCOMES, 'refused', 'try'):
                raise SystemExit(f'lines: {name}: unknown outcome {outcome}')
            options = re.sub(r'\$[A-Z]+', lambda word: words[word.group(0)], fields[-1])
            found += [Line(name, version, outcome, options) for version in versions.split()]
    names = [line.name for line in found]
    for name in names:
        if names.count(name) > 1:
            raise SystemExit(f'lines: {name} is there twice')
    return found


def cpu_features(machine):
    """What QEMU made of -cpu: the words of CPUID and the like, and what the device lacks of them."""
    found = []
    for cpu in machine.qmp('query-cpus-fast')[:1]:
        for name in ('feature-words', 'filtered-features'):
            for word in machine.qmp('qom-get', path=cpu['qom-path'], property=name):
                where = f"{word['cpuid-input-eax']:08x}.{word.get('cpuid-input-ecx', 0):02x}"
                found += [f"{name} {where} {word['cpuid-register'].lower()} bit {bit}"
                          for bit in bits(word['features'])]
    return found


def bits(word):
    return [bit for bit in range(32) if word >> bit & 1]


def facts(text):
    """What the guest saw; what is a set of features by its members, so that differences are small."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if line.startswith('FACT cpuid.') and len(words) == 6:
            found.append(' '.join(words[:2]))
            found += [f'{words[1]} {reg} bit {bit}' for reg, value in zip(('eax', 'ebx', 'ecx', 'edx'), words[2:])
                      for bit in bits(int(value, 16))]
        elif line.startswith('FACT flags '):
            found += ['FACT flag ' + flag for flag in words[2:]]
        elif re.match(r'(FACT|BAD|PLUGGED|GUEST-READY)\b', line):
            found.append(line)
    return found


def start(line, machine):
    """It starts, and its machine runs."""
    found = ['status ' + machine.status()]
    machine.qmp('cont')
    time.sleep(0.3)
    return found + ['then ' + machine.status()]


def boot(line, machine):
    machine.qmp('cont')
    machine.wait_console('^GUEST-READY', BOOT_SECONDS)
    return [f'exit status {machine.wait_exit()}'] + facts(machine.console())


def plug(line, machine):
    machine.qmp('cont')
    machine.wait_console('^WAITING', BOOT_SECONDS)
    for command in line.argument.split(';'):
        answer = machine.hmp(command.strip())
        if answer:
            raise Failure(f'{command.strip()}: {answer}')
    return boot(line, machine)


def text(line, machine):
    machine.qmp('cont')
    machine.wait_console(line.argument, TEXT_SECONDS)
    return ['text found']


def disk(line, machine):
    machine.qmp('cont')
    machine.wait_console('^GUEST-READY', DISK_SECONDS)
    machine.wait_console(line.argument, 0)
    return [f'exit status {machine.wait_exit()}'] + facts(machine.console())


OUTCOMES = {'start': start, 'boot': boot, 'plug': plug, 'text': text, 'disk': disk}


def make_disk():
    """The directory that QEMU shows as a disk: all that a firmware starts, down to our guest."""
    for directory in ('EFI/BOOT', 'EFI/debian'):
        os.makedirs(os.path.join(DISK, directory), exist_ok=True)
    for source, name in (('/usr/lib/shim/shimx64.efi.signed', 'EFI/BOOT/BOOTX64.EFI'),
                         ('/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed', 'EFI/BOOT/grubx64.efi'),
                         (KERNEL, 'vmlinuz'), (INITRD, 'guest.cpio')):
        shutil.copyfile(source, os.path.join(DISK, name))
    with open(os.path.join(DISK, 'EFI/debian/grub.cfg'), 'w', encoding='ascii') as f:
        f.write(f'linux /vmlinuz {command_line("facts")}\ninitrd /guest.cpio\nboot\n')


def run_line(line, device):
    """The outcome that came about, and everything that was seen of it."""
    mode = {'boot': 'facts', 'plug': 'plug'}.get(line.outcome)
    append = ''
    if 'microvm' in line.options:
        # Without ACPI there is nothing to reset by but a fault.
        append = 'reboot=t'
    if 'xen-version' in line.options:
        # On KVM Linux leaves out this check, for which a busy host does not tick often enough; on Xen it does not.
        append = 'no_timer_check'
    machine = Machine(threading.current_thread().name, device, line.options, line.version, boot=mode, append=append)
    seen, outcome, trouble = [], line.outcome, ''
    try:
        machine.start()
        if line.outcome == 'refused':
            raise Failure('QEMU started')
        if line.outcome == 'try':
            outcome = 'start'
        if '-M none' not in line.options:
            seen += cpu_features(machine)
        seen += OUTCOMES[outcome](line, machine)
    except Failure as e:
        if outcome in ('refused', 'try') and machine.process.poll() == 1:
            outcome = 'refused'
            seen.append(str(e))
        else:
            outcome = f'failed: {e}'
            trouble = machine.trouble()
    finally:
        machine.stop()
    said = ['QEMU: ' + message for message in machine.messages()]
    return {'outcome': outcome, 'seen': seen + said, 'trouble': trouble}


def run(device, results, quick, intel, names):
    lines = [l for l in read_lines() if (l.quick or not quick) and (l.intel or not intel) and
             (not names or l.name in names)]
    unknown = set(names) - {l.name for l in lines}
    if unknown or not lines:
        raise SystemExit(f'lines.py: no such lines: {" ".join(sorted(unknown))}')
    if any(line.outcome == 'disk' for line in lines):
        make_disk()

    def run_one(line):
        begin = time.monotonic()
        result = run_line(line, device)
        if device == '/dev/kvm' and result['outcome'].startswith('failed'):
            # KVM is what hv is compared with: what fails by chance there says nothing.
            print(f'# {device} {line.name}: {result["outcome"]}; once more', flush=True)
            result = run_line(line, device)
        print(f'# {device} {line.name}: {result["outcome"]}, {time.monotonic() - begin:.1f} s', flush=True)
        return result

    with ThreadPoolExecutor(AT_ONCE, 'line') as pool:
        found = dict(zip([line.name for line in lines], pool.map(run_one, lines)))
    with open(results, 'w', encoding='utf-8') as f:
        json.dump(found, f, indent=1)


def read_accepted():
    """Patterns of differences that are meant, each with a reason before it."""
    with open('/proc/cpuinfo', encoding='ascii') as f:
        names = ['accepted'] + (['accepted-intel'] if 'GenuineIntel' in f.read() else [])
    found = []
    for name in names:
        with open(os.path.join(HERE, name), encoding='ascii') as f:
            found += [text.strip() for text in f if text.strip() and not text.startswith('#')]
    return found


def differences(kvm, hv, accepted):
    """Lines that only one of them has, without those that are accepted, and trouble that only KVM has."""
    found = ['  kvm: ' + text for text in kvm if text not in hv and not text.startswith('FACT error')]
    found += ['  hv:  ' + text for text in hv if text not in kvm]
    return [text for text in found if not any(re.search(pattern, text) for pattern in accepted)]


def compare(kvm_results, hv_results):
    with open(kvm_results, encoding='utf-8') as f:
        kvm = json.load(f)
    with open(hv_results, encoding='utf-8') as f:
        hv = json.load(f)
    accepted = read_accepted()
    failed = 0
    for name, of_hv in hv.items():
        of_kvm = kvm.get(name)
        wrong = differences(of_kvm['seen'], of_hv['seen'], accepted) if of_kvm else []
        wrong += ['  ' + text for text in of_hv['seen'] if 'BAD' in text]
        for who, result in (('kvm', of_kvm), ('hv', of_hv)):
            if result and result['outcome'].startswith('failed'):
                wrong.append(f"  {who}: {result['outcome']}\n{result['trouble']}")
        print(('not ok ' if wrong else 'ok ') + name)
        for text in wrong:
            print(text)
        failed += bool(wrong)
    return failed != 0


def main():
    args = sys.argv[1:]
    if len(args) >= 3 and args[0] == 'run':
        names = [a for a in args[3:] if a not in ('--quick', '--intel')]
        return run(args[1], args[2], '--quick' in args, '--intel' in args, names)
    if len(args) == 3 and args[0] == 'compare':
        return compare(args[1], args[2])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == '__main__':
    sys.exit(main())
