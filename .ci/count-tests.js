/**
 * `node count-tests.js <vitest's JSON report> <exit status of vitest>` prints `<passed> <failed>`. A test that did not
 * run counts as failed, and so does a file that could not be loaded, and an error that belongs to no test.
 */
import { readFileSync } from 'node:fs'

const [report, status] = process.argv.slice(2)
let passed = 0
let failed = 0
for (const file of JSON.parse(readFileSync(report, 'utf8')).testResults) {
  const tests = file.assertionResults
  const passedHere = tests.filter((test) => test.status === 'passed').length
  passed += passedHere
  failed += tests.length - passedHere
  for (const test of tests) {
    if (test.status !== 'passed') console.error(`${test.status}: ${file.name} > ${test.fullName}`)
  }
  if (file.status !== 'passed' && passedHere === tests.length) {
    failed++
    console.error(`failed: ${file.name}: ${file.message}`)
  }
}
if (failed === 0 && status !== '0') {
  failed++
  console.error(`vitest ended with ${status} though every test passed`)
}
console.log(passed, failed)
