#!/usr/bin/env bash
# Fixed names and dates give fixed object names.
set -e
export GIT_CONFIG_NOSYSTEM=1 HOME=$PWD GIT_PAGER=cat
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_AUTHOR_DATE='2001-02-03T04:05:06Z'
export GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org GIT_COMMITTER_DATE='2001-02-03T04:05:06Z'
git init -q -b main first
cd first
for i in $(seq 200); do echo "line $i" >"file$i"; done
git add .
git commit -q -m 'two hundred files'
git log --stat | tail -3
git rev-parse HEAD
git checkout -q -b side
echo more >>file1
git commit -q -am 'a side'
git checkout -q main
echo other >>file2
git commit -q -am 'the main line'
git merge -q --no-edit side
cd ..
git clone -q --no-local first second
cd second
git fsck --strict
git gc -q
git log --oneline --graph --all
git diff HEAD~1 | cat
git archive HEAD | tar t | wc -l
